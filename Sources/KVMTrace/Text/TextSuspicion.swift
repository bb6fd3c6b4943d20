/// What a text is that is no readable trace, as far as its lines show.
struct TextSuspicion {
  private enum Kind { case text, raw, functionGraph, bare }

  private var kind = Kind.text
  /// Whether there was such a line.
  private(set) var hasLines = false

  /// Takes in a line that is no event.
  mutating func note(_ line: TextCursor) {
    hasLines = true
    guard kind == .text else { return }
    if Self.isRaw(line) {
      kind = .raw
    } else if Self.isGraph(line) {
      kind = .functionGraph
    } else if Self.isBare(line) {
      kind = .bare
    }
  }

  /// Why the text in `file` is refused.
  ///
  /// - Parameter isTrace: whether the lines above say that it is a trace.
  func refusal(of file: FileBytes, isTrace: Bool) -> IngestError {
    let path = file.path
    let recorder = "trace-cmd record -e kvm records one that holds everything"
    switch kind {
    case .raw:
      return IngestError(
        .notATrace, path: path,
        what: "is a trace as text with the option raw or hex, which has no names of events",
        advice:
          "echo 0 > /sys/kernel/tracing/options/raw, the same for hex, and read the trace again; \(recorder)")
    case .functionGraph:
      return IngestError(
        .notATrace, path: path, what: "is a text of the tracer function_graph, whose events have no stamps",
        advice: "echo nop > /sys/kernel/tracing/current_tracer before recording; \(recorder)")
    case .bare:
      return IngestError(
        .notATrace, path: path, what: "has the names of events without threads and stamps",
        advice: "perf script -F comm,tid,cpu,time,event,trace prints them; \(recorder)")
    case .text where isTrace:
      return IngestError(
        .notATrace, path: path, what: "is a trace as text whose lines have no threads and stamps",
        advice: "echo 1 > /sys/kernel/tracing/options/context-info, and read the trace again; \(recorder)")
    case .text:
      return IngestError(
        .notATrace, path: path,
        what: Self.isText(file) ? "is a text file that is no trace" : "is not a trace",
        advice:
          "texts of /sys/kernel/tracing/trace, trace-cmd report and perf script can be read; \(recorder)")
    }
  }

  /// Whether a file begins without control characters that no text has.
  private static func isText(_ file: FileBytes) -> Bool {
    let count = min(file.count, 4096)
    guard let begin = file.bytes(at: 0, size: count) else { return false }
    return UnsafeRawBufferPointer(start: begin, count: count).allSatisfy {
      $0 >= 0x20 || (0x07...0x0d).contains($0)
    }
  }

  /// `278 0 192696372720 type: 1581`: thread, CPU and time, in hexadecimal digits with the option hex.
  private static func isRaw(_ line: TextCursor) -> Bool {
    var cursor = line
    for _ in 0..<3 {
      guard cursor.hexadecimal() != nil, cursor.take(UInt8(ascii: " ")) else { return false }
    }
    return cursor.begins(with: "type: ")
  }

  /// ` 0)   1.234 us    |  kvm_vcpu_load();`.
  private static func isGraph(_ line: TextCursor) -> Bool {
    var cursor = line
    cursor.skipSpaces()
    return cursor.decimal() != nil && cursor.take(")") && cursor.skip(behind: UInt8(ascii: "|"))
  }

  /// `kvm:kvm_entry: PC: 0x0`.
  private static func isBare(_ line: TextCursor) -> Bool {
    var cursor = line
    cursor.skipSpaces()
    return cursor.begins(with: "kvm:kvm_") || cursor.begins(with: "kvm_")
  }
}

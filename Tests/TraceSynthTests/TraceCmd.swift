import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// `trace-cmd report -N` as an oracle: another reader of the same format.
enum TraceCmd {
  /// Where trace-cmd is, nil when it is not installed.
  static let path: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/trace-cmd" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  /// What the skipped tests say.
  static let missing: Comment = "trace-cmd is not installed; install it to compare with another reader"

  /// Whether this build of trace-cmd knows the compression; Debian's has no zlib.
  static func reads(_ compression: TraceFlavour.Compression) -> Bool {
    compression == .none || compressions.contains(compression.rawValue)
  }

  private static let compressions: String = path == nil ? "" : (try? run(["list", "-c"]).text) ?? ""

  /// One line of a report.
  struct Event: Equatable {
    var pid: Int32
    var cpu: Int
    var nanoseconds: UInt64
    var name: String
    var text: String

    /// All numbers that are spelled with 0x.
    var addresses: [UInt64] {
      text.split { " ,()".contains($0) }.compactMap { word in
        word.hasPrefix("0x") ? UInt64(word.dropFirst(2), radix: 16) : nil
      }
    }

    /// The numbers of `NAME VALUE, NAME VALUE`, read as hexadecimal.
    var hexValues: [UInt64] {
      text.split(separator: ", ").compactMap { item in
        let value = item.split(separator: " ").last ?? ""
        return UInt64(value.hasPrefix("0x") ? value.dropFirst(2) : value, radix: 16)
      }
    }
  }

  /// The report of a trace: events in its order, and the lines about lost events.
  struct Report {
    var events: [Event] = []
    var losses: [String] = []
    var log = ""

    func count(_ name: String) -> Int { events.reduce(0) { $0 + ($1.name == name ? 1 : 0) } }
  }

  /// Runs `trace-cmd report -N -t` on `bytes`.
  static func report(_ bytes: [UInt8], _ arguments: [String] = []) throws -> Report {
    let file = try UnnamedFile(bytes)
    return try report(path: file.path, arguments)
  }

  /// What `trace-cmd report -N` prints of `bytes`.
  static func report(text bytes: [UInt8]) throws -> (text: String, status: Int32) {
    let file = try UnnamedFile(bytes)
    return try run(["report", "-N", "-i", file.path])
  }

  /// Runs `trace-cmd report -N -t` on a file.
  static func report(path file: String, _ arguments: [String] = []) throws -> Report {
    let (text, status) = try run(["report", "-N", "-t", "-i", file] + arguments)
    #expect(status == 0, "trace-cmd failed: \(text.prefix(500))")
    return parse(text)
  }

  /// Runs trace-cmd; gives back all it printed and its exit status.
  static func run(_ arguments: [String]) throws -> (text: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(path))
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (text, process.terminationStatus)
  }

  private static func parse(_ text: String) -> Report {
    var report = Report()
    for line in text.split(separator: "\n") {
      if line.contains("EVENTS DROPPED") || line.contains("MISSED") {
        report.losses.append(String(line))
      } else if let event = event(line) {
        report.events.append(event)
      } else {
        report.log += "\(line)\n"
      }
    }
    return report
  }

  /// `   name-123   [004]   27.400141000: kvm_entry:      PC: 0x...`
  private static func event(_ line: Substring) -> Event? {
    guard let open = line.firstIndex(of: "["), let close = line[open...].firstIndex(of: "]"),
      let dash = line[..<open].lastIndex(of: "-"),
      let pid = Int32(
        line[line.index(after: dash)..<open].trimmingPrefix(while: \.isWhitespace).prefix(while: \.isNumber)),
      let cpu = Int(line[line.index(after: open)..<close])
    else { return nil }
    let parts = line[line.index(after: close)...].split(
      separator: ": ", maxSplits: 2, omittingEmptySubsequences: false)
    let time = parts[0].split(separator: ".").map { $0.filter(\.isNumber) }
    guard parts.count >= 2, time.count == 2, time[1].count == 9, let seconds = UInt64(time[0]),
      let fraction = UInt64(time[1])
    else { return nil }
    let name = parts[1].prefix { $0 != ":" }
    let text = parts.count > 2 ? parts[2].trimmingPrefix(while: \.isWhitespace) : ""
    return Event(
      pid: pid, cpu: cpu, nanoseconds: seconds * 1_000_000_000 + fraction, name: String(name),
      text: String(text))
  }
}

import KVMTrace
import KVMTypes
import UnnamedFiles

/// Everything that a recording is asked for when it is opened and read, once.
struct WholeReading {
  /// What kind of recording it is, "" for bytes that are refused.
  private(set) var format = ""
  /// Who read it, nil for bytes that are refused.
  private(set) var reader: Reader?
  /// Why they are refused, nil where they are not.
  private(set) var refusal: String?
  /// The events that were delivered.
  private(set) var events = 0
  /// The damaged places that were told.
  private(set) var damage = 0
  /// What was read, so that reading it is not optimised away.
  private(set) var checksum: UInt64 = 0

  /// For how many events of a pass the text is made, which takes longest of all.
  private static let textMax = 64
  /// The most that is decompressed of a file, in bytes.
  private static let decompressedMax: UInt64 = 64 << 20

  /// Reads `bytes` as if they were a file.
  init(_ bytes: some Collection<UInt8>) throws {
    let file = try UnnamedFile(bytes)
    do {
      let trace = try TraceFile(path: file.path, spoolLimit: Self.decompressedMax)
      format = trace.format
      reader = Array(bytes.prefix(4)).withUnsafeBytes { Reader(of: $0, format: trace.format) }
      read(trace)
    } catch {
      precondition(!error.line.isEmpty && !error.line.contains("\n"))
      refusal = error.line
    }
  }

  private mutating func read(_ trace: TraceFile) {
    var texts = 0
    let statistics = trace.forEachRun(.all) { run in
      precondition(run.count > 0)
      events += run.count
      for position in 0..<run.count {
        use(run, position)
        if trace.command(of: run[position].tid) != nil { checksum &+= 1 }
        guard texts < Self.textMax, let format = trace.formats.format(id: run[position].formatID) else {
          continue
        }
        texts += 1
        useText(of: run.payload(position), run[position], format, trace.formats)
      }
    }
    precondition(statistics.lossCount >= statistics.gapCount)
    let places = trace.damage + statistics.damage
    for place in places { precondition(place.offset >= 0 && !place.what.isEmpty) }
    damage = places.count
    checksum &+= UInt64(trace.cpuCount) &+ UInt64(trace.account.kinds?.count ?? 0)
  }

  private mutating func use(_ run: EventRun, _ position: Int) {
    for byte in run.payload(position) { checksum = checksum &* 31 &+ UInt64(byte) }
    withUnsafeBytes(of: run[position]) { for byte in $0 { checksum &+= UInt64(byte) } }
    if run.marker(position) != nil { checksum &+= 1 }
  }

  private mutating func useText(
    of payload: UnsafeRawBufferPointer, _ record: TraceRecord, _ format: EventFormat, _ formats: EventFormats
  ) {
    for field in format.fields {
      checksum &+= UInt64(formats.value(of: field, in: payload).description.utf8.count)
    }
    let text = formats.text(of: payload, time: record.time.rawValue, cpu: Int(record.cpu.rawValue))
    checksum &+= UInt64(text.utf8.count)
  }
}

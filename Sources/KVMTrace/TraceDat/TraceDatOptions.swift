internal import KVMTypes

/// The options of a trace.dat, with the numbers that trace-cmd gives them in both versions.
enum TraceDatOption: UInt16 {
  case done = 0
  case date = 1
  case cpuStatistics = 2
  case buffer = 3
  case traceClock = 4
  case uname = 5
  case offset = 7
  case cpuCount = 8
  case version = 9
  case traceID = 11
  case timeShift = 12
  case tsc2nsec = 14
  case headerInfo = 16
  case ftraceEvents = 17
  case eventFormats = 18
  case symbols = 19
  case printFormats = 20
  case commands = 21
  case bufferText = 22
}

extension TraceDatContents {
  /// The most processors that a kernel numbers: a record has 16 bits for their numbers.
  static let cpusMax = 1 << 16

  /// Takes in an option that is no reference to a place in the file. Others are left alone.
  ///
  /// - Parameter offset: where in the file the option's data stands.
  mutating func take(_ option: TraceDatOption, _ body: ByteReader, at offset: Int) {
    do {
      if option == .cpuCount { cpuCountOffset = offset }
      if option == .version { copyOriginOffset = offset }
      try apply(option, body, at: offset)
    } catch {
      damage.append(Damage(offset: offset, what: "option \(option.rawValue) is shorter than it must be"))
    }
  }

  private mutating func apply(_ option: TraceDatOption, _ body: ByteReader, at offset: Int) throws {
    var body = body
    func text() throws -> String {
      var copy = body
      let whole = try copy.text(UInt64(copy.remaining))
      return String(whole.prefix(while: { $0 != "\0" }))
    }
    switch option {
    case .date:
      if let microseconds = Self.integer(try text()) { time.offset &+= microseconds &* 1000 }
    case .offset:
      if let nanoseconds = Self.integer(try text()) { time.offset &+= nanoseconds }
    case .cpuStatistics: cpuStatistics.append(try text())
    case .traceClock: setClock(try text())
    case .uname: uname = try text().split(whereSeparator: { $0 == "\n" }).first.map(String.init) ?? ""
    case .cpuCount: cpuCount = Int(try body.u32())
    case .version: copyOrigin = CopyOrigin(try text())
    case .timeShift: try readGuestClocks(&body, at: offset)
    case .traceID: traceID = try body.u64()
    case .tsc2nsec:
      let multiplier = try body.u32()
      let shift = try body.u32()
      guard shift < 64 else { throw ByteReader.Overrun(offset: body.offset) }
      time.multiplier = multiplier
      time.shift = shift
    case .done, .buffer, .headerInfo, .ftraceEvents, .eventFormats, .symbols, .printFormats, .commands,
      .bufferText:
      break
    }
  }

  /// The clocks of a guest's CPUs: u64 the host's trace, u32 flags, u32 CPUs; for each u32 samples and their times,
  /// offsets and scalings; then, since trace-cmd 3.0, for each the scalings' fraction bits.
  private mutating func readGuestClocks(_ body: inout ByteReader, at offset: Int) throws {
    _ = try body.u64()
    let interpolates = try body.u32() & 1 != 0
    let cpus = try body.u32()
    var measured: [[GuestClock.Sample]] = []
    for _ in 0..<cpus {
      var samples: [GuestClock.Sample] = []
      let count = Int(try body.u32())
      guard count <= body.remaining / (3 * 8) else { throw ByteReader.Overrun(offset: body.offset) }
      for _ in 0..<count { samples.append(GuestClock.Sample(time: try body.u64(), offset: 0)) }
      for index in 0..<count { samples[index].offset = Int64(bitPattern: try body.u64()) }
      for index in 0..<count { samples[index].scaling = try body.u64() }
      measured.append(samples)
    }
    if body.remaining > 0 {
      for cpu in measured.indices {
        for index in measured[cpu].indices { measured[cpu][index].fraction = try body.u64() }
      }
    }
    guestClocks = measured.map { GuestClock($0, interpolates: interpolates) }
    for cpu in measured.indices where !measured[cpu].isEmpty && guestClocks[cpu] == nil {
      damage.append(
        Damage(
          offset: offset,
          what:
            "the clock of CPU \(cpu) was measured with offsets as far apart as no clock has them; left out"))
    }
  }

  /// Sets the number of CPUs right, if no kernel has so many.
  mutating func checkCPUCount() {
    guard cpuCount > Self.cpusMax else { return }
    damage.append(
      Damage(
        offset: cpuCountOffset,
        what: "\(cpuCount) CPUs are claimed, which no kernel numbers; only those with events are counted"))
    cpuCount = 0
  }

  /// A number as trace-cmd writes it: decimal, or hexadecimal behind 0x, either with a sign.
  private static func integer(_ text: String) -> Int64? {
    var digits = Substring(text.filter { $0 != "\n" && $0 != " " })
    let negative = digits.hasPrefix("-")
    if negative || digits.hasPrefix("+") { digits = digits.dropFirst() }
    let magnitude =
      digits.lowercased().hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
    guard let magnitude else { return nil }
    return negative ? 0 &- Int64(bitPattern: magnitude) : Int64(bitPattern: magnitude)
  }
}

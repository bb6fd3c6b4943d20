import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// Files of every shape that a host can write.
@Suite("Shapes of files")
struct FlavourTests {
  static let flavours: [TraceFlavour] = {
    var all: [TraceFlavour] = []
    for order in TraceFlavour.ByteOrder.allCases {
      for long in [4, 8] {
        for page in [4096, 16384, 65536] {
          all.append(
            TraceFlavour(
              version: .v6, byteOrder: order, userLongBytes: long, kernelLongBytes: long, pageBytes: page))
          for compression in TraceFlavour.Compression.allCases {
            all.append(
              TraceFlavour(
                byteOrder: order, userLongBytes: long, kernelLongBytes: long, pageBytes: page,
                compression: compression))
          }
        }
      }
    }
    // A 32-bit recorder on a 64-bit kernel: the page header follows the kernel.
    all.append(TraceFlavour(version: .v6, userLongBytes: 4, kernelLongBytes: 8))
    all.append(TraceFlavour(byteOrder: .big, userLongBytes: 4, kernelLongBytes: 8, compression: .zstd))
    return all
  }()

  @Test("what was written is what is read", arguments: flavours)
  func roundTrip(flavour: TraceFlavour) throws {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.guestFault, KVMEventFormats.exit], cpus: 2)
    description.commandLines = [(100, "CPU 0/KVM"), (101, "a b-c")]
    description.options = [
      .clock("local [mono] global"), .uname("Linux host 7.3.4 aarch64"), .traceID(0x1234),
    ]
    let writer = TraceDatWriter(description)
    // Enough for a second page and a second chunk of the smallest pages.
    let perCPU = 2500
    for cpu in 0..<2 {
      var page = SubBufferPageBuilder(flavour, timestamp: 0)
      for number in 0..<perCPU {
        let time = Self.time(cpu: cpu, number: number)
        let payload = Self.payload(cpu: cpu, number: number, flavour)
        if page.append(payload, at: time) { continue }
        try writer.append(page.finish(), cpu: UInt32(cpu))
        page.reset(timestamp: time)
        let fits = page.append(payload, at: time)
        #expect(fits)
      }
      try writer.append(page.finish(), cpu: UInt32(cpu))
    }

    let reading = try Reading(try writer.bytes())
    let trace = reading.trace
    #expect(reading.damage.isEmpty)
    #expect(trace.format == "trace.dat v\(flavour.version.rawValue)")
    #expect(trace.compression == flavour.compression.rawValue)
    #expect(trace.isBigEndian == (flavour.byteOrder == .big))
    #expect(trace.kernelLongSize == flavour.kernelLongBytes)
    #expect(trace.pageBytes == flavour.pageBytes && trace.subBufferBytes == flavour.pageBytes)
    #expect(trace.cpuCount == 2 && trace.bufferNames == [""])
    #expect(trace.uname == "Linux host 7.3.4 aarch64" && trace.traceID == 0x1234)
    #expect(trace.command(of: ThreadID(100)) == "CPU 0/KVM" && trace.command(of: ThreadID(101)) == "a b-c")

    let statistics = reading.statistics
    #expect(statistics.total == UInt64(2 * perCPU) && statistics.withoutFormat == 0)
    #expect(Set(statistics.counts.map(\.name)) == ["kvm_guest_fault", "kvm_exit"])
    #expect(statistics.first?.rawValue == Self.time(cpu: 0, number: 0))
    #expect(statistics.last?.rawValue == Self.time(cpu: 1, number: perCPU - 1))
    try #require(reading.events.count == 2 * perCPU)
    for (position, event) in reading.events.enumerated() {
      // The two CPUs take turns.
      let (cpu, number) = (position % 2, position / 2)
      guard event.time == Self.time(cpu: cpu, number: number), event.cpu == cpu,
        event.tid == Int32(100 + cpu),
        Self.isRight(event.record, number, flavour)
      else {
        Issue.record("event \(position): \(event.record)")
        return
      }
    }
  }

  /// A stamp that needs a time extend now and then.
  private static func time(cpu: Int, number: Int) -> UInt64 {
    5_000_000_000 + UInt64(number) * 1000 + UInt64(number / 100) << 28 + UInt64(cpu)
  }

  private static func payload(cpu: Int, number: Int, _ flavour: TraceFlavour) -> [UInt8] {
    let pid = Int32(100 + cpu)
    if number % 2 == 1 {
      let minusFour = UInt64(bitPattern: -4)
      return KVMEventFormats.exit.payload([minusFour, 0x24, 0x1000], pid: pid, flavour: flavour)
    }
    return KVMEventFormats.guestFault.payload(
      [0x8000_1000, 0x9200_0047, UInt64(number), 0xff_0000_0000 + UInt64(number) << 12], pid: pid,
      flavour: flavour)
  }

  private static func isRight(_ record: TraceRecord, _ number: Int, _ flavour: TraceFlavour) -> Bool {
    if number % 2 == 1 {
      let exit = record.vcpuExit
      return record.kind == .exit && exit.reason == -4 && exit.exceptionClass == 0x24
        && exit.pc.rawValue == 0x1000
    }
    let fault = record.guestFault
    return record.kind == .guestFault && fault.ipa.rawValue == 0xff_0000_0000 + UInt64(number) << 12
      && fault.esr.rawValue == 0x9200_0047 && fault.far.rawValue == UInt64(number)
      && fault.pc.rawValue == 0x8000_1000
  }
}

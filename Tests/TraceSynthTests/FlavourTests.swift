import Testing
import TraceSynth

/// Files of every shape, read back by another program.
@Suite("Flavours of trace.dat")
struct FlavourTests {
  static let flavours: [TraceFlavour] = {
    var all: [TraceFlavour] = []
    for order in TraceFlavour.ByteOrder.allCases {
      for long in [4, 8] {
        for page in [4096, 16384, 65536] {
          all.append(
            TraceFlavour(
              version: .v6, byteOrder: order, userLongBytes: long, kernelLongBytes: long, pageBytes: page))
          for compression in TraceFlavour.Compression.allCases where TraceCmd.reads(compression) {
            all.append(
              TraceFlavour(
                byteOrder: order, userLongBytes: long, kernelLongBytes: long, pageBytes: page,
                compression: compression))
          }
        }
      }
    }
    // A 64-bit kernel whose recorder was a 32-bit program.
    all.append(TraceFlavour(version: .v6, userLongBytes: 4, kernelLongBytes: 8))
    all.append(TraceFlavour(version: .v7, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 8))
    return all
  }()

  @Test(
    "trace-cmd reads what was written", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: flavours)
  func readBack(_ flavour: TraceFlavour) throws {
    var description = TraceDescription(flavour, cpus: 2)
    description.commandLines = [(100, "vcpu"), (7, "kswapd0")]
    description.options = [
      .clock("[local] global counter\n"), .uname("Linux host 7.3.4 aarch64"), .traceID(0x1234_5678_9abc_def0),
      .cpuCount(2),
    ]
    let writer = TraceDatWriter(description)
    var expected: [Expected] = []
    for cpu in 0..<2 {
      var time: UInt64 = 5_000_000_000 + UInt64(cpu)
      var page = SubBufferPageBuilder(flavour, timestamp: time)
      for i in 0..<700 {
        let payload = KVMEventFormats.guestFault.payload(
          [0x1000, 0x9200_0047, 0xff00_0000 + UInt64(i), UInt64(i) << 12], pid: 100 + Int32(cpu),
          flavour: flavour)
        // Every hundredth event lies far beyond what 27 bits of delta can say.
        time += i % 100 == 99 ? 1 << 28 : 1000
        if !page.append(payload, at: time) {
          try writer.append(page.finish(), cpu: UInt32(cpu))
          page.reset(timestamp: time)
          let fits = page.append(payload, at: time)
          #expect(fits)
        }
        expected.append(
          Expected(
            pid: 100 + Int32(cpu), cpu: cpu, nanoseconds: time,
            values: [UInt64(i) << 12, 0x9200_0047, 0xff00_0000 + UInt64(i), 0x1000]))
      }
      try writer.append(page.finish(), cpu: UInt32(cpu))
    }
    expected.sort { ($0.nanoseconds, $0.cpu) < ($1.nanoseconds, $1.cpu) }

    let report = try TraceCmd.report(try writer.bytes())
    #expect(report.losses.isEmpty)
    #expect(report.events.count == expected.count, "\(report.log.prefix(400))")
    #expect(report.count("kvm_guest_fault") == expected.count)
    for (event, wanted) in zip(report.events, expected) {
      let got = Expected(
        pid: event.pid, cpu: event.cpu, nanoseconds: event.nanoseconds, values: event.hexValues)
      guard got == wanted else {
        Issue.record("got \(got), wanted \(wanted)")
        break
      }
    }
  }

  private struct Expected: Equatable {
    var pid: Int32
    var cpu: Int
    var nanoseconds: UInt64
    /// ipa, hsr, hxfar, pc.
    var values: [UInt64]
  }
}

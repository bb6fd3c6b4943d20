import KVMTypes
import Testing
import TraceSynth

/// Whole synthetic traces.
@Suite("Synthesizer")
struct SynthesizerTests {
  private func make(
    _ configuration: SynthesizerConfiguration, _ flavour: TraceFlavour = TraceFlavour()
  ) throws -> (bytes: [UInt8], summary: SynthesizerSummary) {
    let output = OutputFile()
    let summary = try Synthesizer.write(configuration, flavour, to: output)
    return (output.memory, summary)
  }

  private func small(
    _ change: (inout SynthesizerConfiguration) -> Void = { _ in }
  ) -> SynthesizerConfiguration {
    var configuration = SynthesizerConfiguration()
    configuration.events = 20_000
    configuration.memoryBytes = 16 << 20
    change(&configuration)
    return configuration
  }

  @Test("The same seed gives the same bytes, another seed others")
  func determinism() throws {
    let first = try make(small()).bytes
    #expect(try make(small()).bytes == first)
    #expect(try make(small { $0.seed = 2 }).bytes != first)
    // What another machine made: FNV-1a over the file.
    let hash = first.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    #expect(hash == 14_943_450_824_734_018_087, "the bytes of seed 1 have changed: \(hash)")
  }

  @Test(
    "With faults only there is nothing but faults, and what the host does to memory", arguments: [0, 300])
  func faultsOnly(notifiers: Int) throws {
    let summary = try make(
      small {
        $0.faultsOnly = true
        $0.notifierPermille = notifiers
      }
    ).summary
    #expect(summary.events == 20_000)
    #expect(summary.eventCounts["kvm_guest_fault", default: 0] > summary.events / 3)
    for name in ["kvm_entry", "kvm_exit", "kvm_mmio", "kvm_userspace_exit"] {
      #expect(summary.eventCounts[name] == nil, "\(name)")
    }
  }

  @Test(
    "trace-cmd finds the events that were made", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: [
      (TraceFlavour(), PageSize.size4K, 0), (TraceFlavour(version: .v6), .size4K, 5),
      (TraceFlavour(pageBytes: 16384, compression: .zstd), .size16K, 3),
      (TraceFlavour(byteOrder: .big, pageBytes: 65536), .size64K, 4),
    ])
  func report(_ flavour: TraceFlavour, _ pageSize: PageSize, _ losses: Int) throws {
    let configuration = small {
      $0.pageSize = pageSize
      $0.losses = losses
      $0.vms = 2
      $0.cpus = 3
      $0.hugePagePercent = 50
    }
    let (bytes, summary) = try make(configuration, flavour)
    let report = try TraceCmd.report(bytes)
    #expect(summary.events == configuration.events)
    #expect(report.events.count == summary.events)
    #expect(Dictionary(report.events.map { ($0.name, 1) }, uniquingKeysWith: +) == summary.eventCounts)
    #expect(report.events.first?.nanoseconds == summary.firstNanoseconds)
    #expect(report.events.last?.nanoseconds == summary.lastNanoseconds)
    #expect(summary.losses == losses)
    #expect(report.losses.count == losses)
    let counted = report.losses.compactMap { line in
      line.split(separator: "[").last.flatMap { Int($0.prefix { $0.isNumber }) }
    }
    #expect(counted.reduce(0, +) == summary.countedLostEvents)
  }

  @Test(
    "Every fault is one that a stage 2 would raise", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: [1, 2, 3])
  func consistency(_ seed: UInt64) throws {
    let configuration = small {
      $0.seed = seed
      $0.events = 40_000
      $0.notifierPermille = 150
    }
    var reader = StageTwoReader()
    for event in try TraceCmd.report(try make(configuration).bytes).events { reader.read(event) }
    #expect(reader.complaints.isEmpty, "\(reader.complaints.prefix(5))")
    // The trace would prove little if it had few faults of a kind.
    #expect(reader.translations > 1000)
    #expect(reader.permissions > 50)
    #expect(reader.accessFlags > 300)
  }

  @Test("As many runs of events are lost as were asked for", arguments: [1, 2, 3, 4], [10, 100, 200])
  func losses(_ seed: UInt64, _ losses: Int) throws {
    let summary = try make(
      small {
        $0.seed = seed
        $0.losses = losses
      }
    ).summary
    #expect(summary.losses == losses)
  }

  @Test("Hardware that sets the access flag raises no access faults")
  func hardwareAccessFlag() throws {
    let summary = try make(small { $0.hardwareAccessFlag = true }).summary
    #expect(summary.eventCounts["kvm_access_fault"] == nil)
    #expect(try make(small()).summary.eventCounts["kvm_access_fault"] ?? 0 > 100)
  }

  @Test("A configuration that makes no trace says why")
  func problems() {
    #expect(small().problem == nil)
    #expect(small { $0.events = 0 }.problem != nil)
    #expect(small { $0.memoryBytes = 4097 }.problem != nil)
    #expect(small { $0.vcpus = 0 }.problem != nil)
    #expect(small { $0.cpus = 1000 }.problem != nil)
    #expect(small { $0.losses = 20_000 }.problem != nil)
    #expect(small { $0.hugePagePercent = 101 }.problem != nil)
  }
}

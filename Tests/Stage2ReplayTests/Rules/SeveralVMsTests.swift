import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

/// VMs that run side by side and share nothing.
@Suite("Several VMs at once")
struct SeveralVMsTests {
  // MARK: Many threads, any window

  /// What must not depend on how many threads replay.
  private struct Found {
    var operations: [Stage2Operation] = []
    var result: ReplayResult

    init(_ trace: TraceFile, jobs: Int, lag: Int) throws {
      var options = ReplayOptions()
      (options.jobs, options.lag) = (jobs, lag)
      var operations: [Stage2Operation] = []
      result = try Replay.run(trace, profile: ProfileRequest(), options: options) { operations.append($0) }
        .result
      self.operations = operations
    }
  }

  /// A synthetic trace of VMs with two vCPUs each, on four CPUs.
  private func trace(vms: Int) throws -> UnnamedFile {
    var configuration = SynthesizerConfiguration()
    (configuration.vms, configuration.vcpus, configuration.events) = (vms, 2, 12_000)
    configuration.memoryBytes = 8 << 20
    configuration.hugePagePercent = 50
    configuration.notifierPermille = 200
    configuration.losses = 2
    let output = OutputFile()
    _ = try Synthesizer.write(configuration, TraceFlavour(), to: output)
    return try UnnamedFile(output.memory)
  }

  @Test(
    "However many threads replay how many VMs, with whatever window, they say the same",
    arguments: [1, 3, 8], [1, 33, 1 << 12])
  func threads(vms: Int, lag: Int) throws {
    let file = try trace(vms: vms)
    let trace = try TraceFile(path: file.path)
    let one = try Found(trace, jobs: 1, lag: lag)
    #expect(one.result.vms.count == vms && one.result.vms.allSatisfy { $0.faults.total > 100 })
    #expect(one.result.divergences.unexplained == 0)
    for jobs in [2, 5] {
      let other = try Found(trace, jobs: jobs, lag: lag)
      #expect(other.operations == one.operations)
      #expect(other.result.divergences == one.result.divergences)
      #expect(other.result.vms.map(\.faults) == one.result.vms.map(\.faults))
      #expect(other.result.vms.map(\.operations) == one.result.vms.map(\.operations))
      #expect(
        other.result.vms.map(\.faultsWithoutOperation) == one.result.vms.map(\.faultsWithoutOperation))
      #expect(
        other.result.vms.map(\.memory.totalBytes.peak) == one.result.vms.map(\.memory.totalBytes.peak))
    }
  }

  // MARK: Open faults of many VMs

  /// The VM at a position among the others: its threads, its `struct kvm` and its memory.
  private struct VM {
    var position: Int

    var vmm: Scenario.Thread { .init(tid: tid, cpu: 3) }
    var vcpu0: Scenario.Thread { .init(tid: tid + 1, cpu: 0) }
    var vcpu1: Scenario.Thread { .init(tid: tid + 2, cpu: 1) }
    var vcpu2: Scenario.Thread { .init(tid: tid + 3, cpu: 2) }
    var kvm: UInt64 { 0xffff_0000 + UInt64(position) << 16 }
    /// Congruent with the guest's addresses, so that blocks can be mapped.
    var hva: UInt64 { 0xff00_4000_0000 + UInt64(position) << 32 }
    private var tid: Int32 { 1000 + 10 * Int32(position) }
  }

  private typealias Step = @Sendable (Scenario, VM) -> Void

  /// Faults of three vCPUs that are open at the same time: on one page, in one region and elsewhere, while memory is aged
  /// and unmapped, with and without waits for the lock.
  private static let steps: [Step] = [
    { $0.createSlot($1.vmm, kvm: $1.kvm, pages: 2048, hva: $1.hva) },
    { $0.enter($1.vcpu0) }, { $0.enter($1.vcpu1) }, { $0.enter($1.vcpu2) },
    { $0.fault($1.vcpu0, $0.memory, level: 1) },
    { $0.fault($1.vcpu1, $0.memory, level: 1) },
    { $0.fault($1.vcpu2, $0.memory + $0.block, level: 1) },
    { $0.contend($1.vcpu1, lock: $1.kvm, flags: 5) },
    { $0.acquire($1.vcpu1, lock: $1.kvm) },
    { $0.enter($1.vcpu1) }, { $0.enter($1.vcpu2) }, { $0.enter($1.vcpu0) },
    { $0.fault($1.vcpu0, $0.memory + $0.page) },
    { $0.fault($1.vcpu1, $0.memory + 2 * $0.page) },
    { $0.unmap($1.vmm, $1.hva) },
    { $0.enter($1.vcpu0) },
    { $0.fault($1.vcpu2, $0.memory) },
    { $0.age($1.vmm, $1.hva + $0.page) },
    { $0.enter($1.vcpu2) }, { $0.enter($1.vcpu1) },
    { $0.fault($1.vcpu1, $0.memory + 2 * $0.page) },
    { $0.unmap($1.vcpu1, $1.hva + 2 * $0.page) },
    { $0.fault($1.vcpu0, $0.memory + $0.page, .accessFlag) },
    { $0.accessFault($1.vcpu0, $0.memory + $0.page) },
    { $0.enter($1.vcpu0) }, { $0.enter($1.vcpu1) },
    { $0.handle($1.vcpu2, $0.memory + 2 * $0.page) },
  ]

  /// Every VM takes a step before any takes the next one.
  private func replay(vms: Int, jobs: Int = 1) throws -> Replayed {
    let story = Scenario()
    story.options.jobs = jobs
    for step in Self.steps { for vm in 0..<vms { step(story, VM(position: vm)) } }
    return try story.replay()
  }

  @Test("A VM does the same alone and among others whose faults are open at the time", arguments: [1, 3])
  func overlapping(jobs: Int) throws {
    let alone = try replay(vms: 1)
    #expect(alone.all.count > 5 && alone.nothing.values.reduce(0, +) > 0)
    let many = try replay(vms: 16, jobs: jobs)
    #expect(many.result.vms.count == 16)
    for vm in many.result.vms {
      #expect(many.operations(vm: vm.id) == alone.operations)
      #expect(vm.faults == alone.result.vms[0].faults && vm.faultsWithoutOperation == alone.nothing)
      #expect(vm.vcpus.map(\.rawValue) == (1...3).map { 1000 + 10 * Int32(vm.id) + $0 })
    }
    #expect(many.result.divergences.unexplained == 16 * alone.result.divergences.unexplained)
  }
}

internal import KVMTypes
internal import Stage2Model

/// The execution of a VM under the kernel that was traced, beside which another kernel is modelled: it decides all that the trace
/// tells of host and guest.
protocol TracedExecution: AnyObject {
  /// Executes a step.
  ///
  /// - Returns: what the other kernel has to be told of it.
  func execute(
    _ step: UnsafePointer<ExecutionStep>, of batch: UnsafePointer<ExecutionBatch>
  ) -> ContiguousArray<CarriedDecision>
  /// The trace has ended.
  func finish(_ order: UInt64)
  /// An RCU grace period passes.
  func passGracePeriod()
  /// What the VM's stage 2 occupied.
  func bounds(_ member: MarkerRoster.VM) -> MemoryBounds
  /// Where the traced kernel's model and the trace differ.
  var log: DivergenceLog { get }
  /// What else than operations rests on assumptions.
  var doubts: ReplayDoubts { get }
  /// Faults that led to no operation, by reason.
  var nothing: [Int] { get }
}

/// That on a backend of either path.
final class TracedVM<Backend: Stage2Backend & ~Copyable>: TracedExecution {
  private var execution: VMExecution<Backend>

  init(_ vm: AttributedVM, _ context: ReplayContext, backend: consuming Backend) {
    execution = VMExecution(vm, context, of: context.profile, backend: backend, isTracedAlong: true)
  }

  func execute(
    _ step: UnsafePointer<ExecutionStep>, of batch: UnsafePointer<ExecutionBatch>
  ) -> ContiguousArray<CarriedDecision> {
    execution.carried.removeAll()
    execution.execute(step, of: batch)
    return execution.carried.list
  }

  func finish(_ order: UInt64) { execution.finish(order) }
  func passGracePeriod() { execution.kvm.stage2.passGracePeriod() }
  func bounds(_ member: MarkerRoster.VM) -> MemoryBounds { MemoryBounds(&execution, member) }
  var log: DivergenceLog { execution.checks.log }
  var doubts: ReplayDoubts { execution.tally.doubts }
  var nothing: [Int] { execution.tally.nothing }
}

extension ReplayContext {
  /// The execution under the traced kernel, nil where no other one is modelled.
  func tracedExecution(of vm: AttributedVM) -> (any TracedExecution)? {
    if options.otherKernel == nil { return nil }
    let traced = VMToModel(
      profile: profile, isProtected: profile.modelsProtected(vm.identity.isProtected))
    return profile.isPKVM
      ? TracedVM(vm, self, backend: traced.makePKVM())
      : TracedVM(vm, self, backend: traced.makeTraditional())
  }
}

import ForeignStage2
import Stage2Model
import Stage2Replay

/// A shared object in the place of the model in one replay, and what its kernel told of itself in each VM.
final class ReplayedBackend {
  let library: BackendLibrary
  /// By the VM's number.
  private(set) var logs: [KernelLog] = []

  init(_ library: BackendLibrary) { self.library = library }

  /// The stage 2 of the next VM.
  func make(_ vm: VMToModel) -> ForeignStage2 {
    let (shape, log) = (vm.foreignShape, KernelLog())
    defer { logs.append(log) }
    return ForeignStage2(
      library, shape, frameOffset: shape.frameOffset(ofVM: logs.count),
      accounting: vm.profile.profile.accounting,
      log: log)
  }
}

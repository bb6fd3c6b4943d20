internal import KVMTrace
internal import Stage2Model

/// How a trace records the kernel's own operations.
enum ProbeRecording {
  /// Not at all.
  case none
  /// With the rights as kernels before 6.19 numbered them.
  case earlyProtBits
  /// With the rights as they are numbered since.
  case present

  init(_ source: some EventSource) {
    guard source.hasOperationProbes else {
      self = .none
      return
    }
    let isEarly = KernelRelease(uname: source.uname).map { $0 < KernelRelease(major: 6, minor: 19) } ?? false
    self = isEarly ? .earlyProtBits : .present
  }
}

internal import KVMTypes
internal import Stage2Model

/// `user_mem_abort`, or what stands for it, as it was called in the replay of the traced kernel.
struct CarriedAbort {
  /// What a walk of the page found right before.
  var before: Stage2Walk
  /// What the host had behind the page.
  var faultIn: FaultIn
  /// The slot was taken to log dirty pages.
  var mayLog: Bool
  /// The VMM's memory changed meanwhile.
  var isRetried: Bool
  /// Another vCPU's fault changed the entry first.
  var isOvertaken: Bool
  /// What was mapped or relaxed, nil where nothing was.
  var performed: Performed?

  /// The size of the mapping, and how it is known that the fault was an access that got it.
  struct Performed {
    var size: MappingSize
    var outcome: Basis
  }
}

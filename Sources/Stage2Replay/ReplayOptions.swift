public import KVMTypes

/// What a replay is told besides the trace.
public struct ReplayOptions: Sendable {
  /// Whether the probes on the kernel's operations are left out of account entirely.
  public var ignoresProbes = false
  /// The memslots, in place of what the trace tells of them; nil leaves that to the trace.
  public var memslots: MemslotHistory?
  /// Whether memslots are inferred even if probes recorded them.
  public var infersMemslots = false
  /// Only events from this moment on are replayed.
  public var from: Nanoseconds?
  /// Only events before this moment.
  public var to: Nanoseconds?
  /// Whether the work of every operation is counted, which a cost model prices; the mapping tree is kept for it, too.
  public var measuresWork = false
  /// Whether the sections under the lock that probes recorded are kept, for a simulation of the lock.
  public var keepsSections = false
  /// Whether it is put down which VM is behind threads and addresses, and when, for a `VMAttributor`.
  public var recordsTimeline = false
  /// Another kernel to model in place of the one that was traced.
  public var otherKernel: OtherKernel?
  /// How many of the longest holds and waits of each VM's lock are kept.
  public var longest = 5
  /// How many records wait for later evidence before they are settled, 1 to 2^20. With what is settled and waits for its execution,
  /// some thousand steps, it bounds the memory of the replay beside that of the model.
  public var lag = 1 << 12

  /// How many threads may work at once, 1 at least. The result is the same for every number.
  public var jobs = 1
  /// How many events are read before a replay of a source begins that can be read only once, and how far ahead they are read
  /// from then on. The first of them decide what the host is, and a loss is known so many events before its place. They
  /// take 88 bytes each; 1 at least.
  public var recordsAhead = 1 << 18

  /// What somebody looks at one by one, besides operations: what the observer receives.
  var observed: ObservedKinds = []

  /// The defaults.
  public init() {}
}

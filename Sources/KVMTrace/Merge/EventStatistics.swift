public import KVMTypes

/// What a pass over a trace counted.
public struct EventStatistics: Sendable {
  /// How often one kind of event occurred.
  public struct Count: Hashable, Sendable {
    /// The event's system.
    public var system: String
    /// The event's name.
    public var name: String
    /// How often it occurred.
    public var count: UInt64

    /// The event `system:name` occurred `count` times.
    public init(system: String, name: String, count: UInt64) {
      self.system = system
      self.name = name
      self.count = count
    }
  }

  /// The end of a stream, or of one CPU in a stream that has all of them in one order.
  package struct StreamEnd: Hashable, Sendable {
    /// The buffer, and the processor of the last event.
    package var bufferIndex: Int
    package var cpu: UInt16
    /// Which of the processor's streams it is.
    package var lane: UInt8 = 0
    /// The greatest stamp of its events, nil where it has none.
    package var last: Nanoseconds?
    /// How many events are missing behind the last one, 0 for an unknown number; nil for none. Where a stream of several CPUs ends with
    /// damage, they may be those of any.
    package var missing: UInt64?
    /// Whether the kernel lost them; else they are missing for damage.
    package var isKernels = false
    /// Whether there are damaged places in it of which no run may tell.
    package var isDamaged = false

    /// The stream.
    package var stream: StreamID { StreamID(CPUIndex(cpu), lane: lane) }
  }

  /// The time from the first event to the last.
  public var span: Nanoseconds {
    guard let first, let last, first < last else { return Nanoseconds(0) }
    return Nanoseconds(last.rawValue - first.rawValue)
  }

  /// Nothing was counted: whoever makes a pass says what it knows.
  public init() {}

  /// All kinds of event that occurred, by their numbers.
  public var counts: [Count] = []
  /// Probes on the kernel's own stage-2 operations that occurred, whether they were delivered or not; nil where nobody counted.
  public var operationProbes: UInt64?
  /// Events whose number no format has.
  public var withoutFormat: UInt64 = 0
  /// Whether those may be of kinds that a replay reads.
  package var mayHideKinds = false
  /// The least stamp of all events.
  public var first: Nanoseconds?
  /// The greatest one.
  public var last: Nanoseconds?
  /// Where events are missing: the first thousand places of each processor.
  public var losses: [Loss] = []
  /// How many such places there are in all.
  public var lossCount = 0
  /// At how many of them pages are missing; at the others the kernel lost events.
  public var gapCount = 0
  /// The events known to be lost, with those of which nobody tells the processor; gaps of unknown size come on top.
  public var lostTotal: UInt64 = 0
  /// Where pages or chunks are damaged, and where the file ended if it was cut while it was read.
  public var damage: [Damage] = []
  /// Those of the damaged places that lie in streams of all CPUs: what is missing there, and when, the runs tell, and the ends.
  package var toldDamage: [Damage] = []
  /// The ends of all streams.
  package var streamEnds: [StreamEnd] = []
  /// Why not all of the file could be read; nil where it could.
  public var readFailure: IngestError?

  /// The damaged places of which nothing else tells when something may be missing for them.
  package var untoldDamage: [Damage] {
    toldDamage.isEmpty ? damage : damage.filter { !toldDamage.contains($0) }
  }

  /// The ends of CPUs behind which something is missing for damage that no loss tells of.
  package var untoldEnds: [Loss] {
    streamEnds.filter { end in
      end.missing != nil && !end.isKernels
        && !losses.contains { $0.isBehindLast && !$0.isKernels && $0.cpu == end.cpu }
    }.map {
      Loss(cpu: $0.cpu, before: $0.last ?? Nanoseconds(0), count: nil, isKernels: false, isBehindLast: true)
    }
  }

  /// All events.
  public var total: UInt64 { counts.reduce(withoutFormat) { $0 + $1.count } }
}

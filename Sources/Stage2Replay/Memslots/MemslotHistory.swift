public import KVMTrace
public import KVMTypes

/// The memslots of VMs over time, from elsewhere than the events of a replay: a file, or inferred from the trace.
public struct MemslotHistory: Hashable, Sendable {
  /// The VMs, in the order of appearance.
  public var vms: [VM] = []
  /// The recording that they were read from, nil where nobody says.
  public var origin: Origin?

  /// No VMs.
  public init() {}

  /// A recording, as far as one is told from another.
  public struct Origin: Hashable, Sendable {
    /// Where it was, which may be elsewhere by now.
    public var path: String
    /// The least stamp of its events, nil where it has none.
    public var first: Nanoseconds?
    /// The greatest one.
    public var last: Nanoseconds?
    /// All events.
    public var events: UInt64

    /// The recording at `path`.
    public init(path: String, first: Nanoseconds?, last: Nanoseconds?, events: UInt64) {
      (self.path, self.first, self.last, self.events) = (path, first, last, events)
    }

    /// The recording at `path`, of which a pass counted `statistics`.
    public init(_ path: String, _ statistics: EventStatistics) {
      self.init(path: path, first: statistics.first, last: statistics.last, events: statistics.total)
    }

    /// Whether it is the same recording, wherever that lies.
    public func isSame(as other: Origin) -> Bool {
      first == other.first && last == other.last && events == other.events
    }
  }

  /// One VM.
  public struct VM: Hashable, Sendable {
    /// The thread that sets the slots, nil where it is not known.
    public var creator: ThreadID?
    /// The address of its `struct kvm`, nil where it is not known.
    public var kvm: KernelAddress?
    /// The threads that run its vCPUs; nil leaves that to the rules of the replay.
    public var tids: [ThreadID]?
    /// When it is gone, nil where it outlives the trace or nothing tells.
    public var to: Nanoseconds?
    /// Whether it may have memory that is in none of its slots.
    public var isPartial = false
    /// Its slots, in the order of appearance. A slot that moves is two of them.
    public var slots: [Slot] = []

    /// A VM without slots.
    public init(creator: ThreadID? = nil, kvm: KernelAddress? = nil, tids: [ThreadID]? = nil) {
      self.creator = creator
      self.kvm = kvm
      self.tids = tids
    }
  }

  /// A slot from its creation to its end.
  public struct Slot: Hashable, Sendable {
    /// What it is at first.
    public var slot: Memslot
    /// When it is created, nil for one that is there from the beginning.
    public var from: Nanoseconds?
    /// Who created it, and where among the events of that moment.
    public var fromOrigin = ChangeOrigin()
    /// When it is deleted or moved away, nil for one that stays.
    public var to: Nanoseconds?
    /// Who did that, and where among the events of that moment.
    public var toOrigin = ChangeOrigin()
    /// Its changes of flags, in the order of time.
    public var changes: [FlagsChange] = []
    /// What speaks for a slot that was inferred, nil for any other.
    public var evidence: SlotEvidence?

    /// A slot with a life of its own.
    public init(_ slot: Memslot, from: Nanoseconds? = nil, to: Nanoseconds? = nil) {
      self.slot = slot
      self.from = from
      self.to = to
    }
  }

  /// A change of a slot's flags (`KVM_MR_FLAGS_ONLY`).
  public struct FlagsChange: Hashable, Sendable {
    /// When.
    public var at: Nanoseconds
    /// The flags from then on.
    public var flags: MemslotFlags
    /// Who made it, and where among the events of that moment.
    public var origin: ChangeOrigin

    /// A change.
    public init(at: Nanoseconds, flags: MemslotFlags, origin: ChangeOrigin = ChangeOrigin()) {
      self.at = at
      self.flags = flags
      self.origin = origin
    }
  }

  /// Who made a change of a slot, and where in the trace its time alone does not say.
  public struct ChangeOrigin: Hashable, Sendable {
    /// The thread, nil for the VM's creator.
    public var thread: ThreadID?
    /// How many events of the trace that have its time come before it, those of probes on operations left out. Where a clock's
    /// tick is long, a slot may come and go in one.
    public var place: Int

    /// A change by a thread other than the creator, or behind other events of its moment.
    public init(thread: ThreadID? = nil, place: Int = 0) {
      self.thread = thread
      self.place = place
    }
  }
}

/// What speaks for the place of an inferred slot.
///
/// A *pair* is a fault together with the few host ranges that can have caused it: it says that the fault's frame lies
/// in one of them.
public struct SlotEvidence: Hashable, Sendable {
  /// The pairs that agree with the slot's host address; for a slot without one, with the best candidate.
  public var support = 0
  /// How many of them the best other host address explains, too.
  public var runnerUp = 0
  /// Pairs of the slot's frames that do not agree.
  public var contradictions = 0
  /// The lowest and the highest frame with a pair, nil where none agrees.
  public var frames: FrameRange?

  /// No evidence.
  public init() {}

  /// How much of the evidence speaks for this host address alone, 0 to 1.
  public var confidence: Double {
    guard support > 0 else { return 0 }
    return Double(max(support - runnerUp, 0)) / Double(support + contradictions)
  }

  /// How the difference between host and guest addresses is known: derived where no pair contradicts it, and any other
  /// would contradict as many pairs as `SlotInference.marginMin`.
  public var offsetBasis: Basis {
    contradictions == 0 && support - runnerUp >= SlotInference.marginMin ? .derived : .assumed
  }
}

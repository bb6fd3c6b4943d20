public import KVMTypes

/// What the host counted at one quiet point, held against the model.
public struct MarkerResult: Hashable, Sendable {
  /// When the marker was written.
  public var time: Nanoseconds
  /// The point's name.
  public var point: String
  /// Whether it is the one from which the host's own figures are counted: the first of the trace.
  public var isFirst: Bool
  /// What was compared, in the order of `MarkerFigure.Kind`.
  public var figures: [MarkerFigure]
}

/// One figure of a marker.
public struct MarkerFigure: Hashable, Sendable {
  /// What is counted.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// SecPageTables, in bytes, since the first marker: PGDs, tables, and what memory caches hold where that counts.
    case secPageTables
    /// Objects of `struct pkvm_mapping` since the first marker, those that vCPUs hold ready included.
    case mappings
    /// Anonymous huge pages of one VMM, in bytes: no less than its VMs' blocks.
    case anonHuge
    /// Huge pages of any kind of one VMM that has others than anonymous ones, in bytes: likewise.
    case huge
    /// Exits of all vCPUs, which kvm_exit tells one by one.
    case exits
    /// Accesses to devices, which kvm_mmio tells one by one.
    case mmioExits

    /// The name in reports.
    public var name: String {
      switch self {
      case .secPageTables: "secPageTablesBytes"
      case .mappings: "mappings"
      case .anonHuge: "anonHugeBytes"
      case .huge: "hugeBytes"
      case .exits: "exits"
      case .mmioExits: "mmioExits"
      }
    }

    /// Whether it is what the host has more than at the first marker; the others are as they are counted at the marker.
    public var isSinceFirst: Bool { self == .secPageTables || self == .mappings }

    /// Whether events are counted, which needs no model.
    var isOfEvents: Bool { self == .exits || self == .mmioExits }
  }

  /// How a figure compares.
  public enum Verdict: UInt8, Hashable, Sendable, CaseIterable {
    /// The model has what the host counted, or as much as the trace leaves open.
    case agrees
    /// The host counted more than the model has of what only bounds the model's figure: a VMM's huge pages, of which its
    /// VMs need not have mapped every one.
    case covers
    /// It has not.
    case differs
    /// What the model has is not certain enough to say.
    case unknown

    /// Whether the host's figure is one that the model allows.
    var isConsistent: Bool { self == .agrees || self == .covers }

    /// The name in reports.
    public var name: String {
      switch self {
      case .agrees: "agrees"
      case .covers: "covers"
      case .differs: "differs"
      case .unknown: "unknown"
      }
    }
  }

  /// What is counted.
  public var kind: Kind
  /// The VMM, for figures that are one process's.
  public var process: ThreadID?
  /// What the host counted; since the first marker, where the figure is the whole host's.
  public var recorded: Int
  /// What the model, or for `exits` and `mmioExits` the trace, has; nil where the events were not recorded that would tell.
  public var modelled: Int?
  /// The least and the most that it would have, had it decided otherwise what the trace leaves open; nil like that.
  public var range: ClosedRange<Int>?
  /// How the two compare.
  public var verdict: Verdict
  /// Why they cannot be compared.
  public var doubt: MarkerDoubt?

  /// Recorded less modelled; nil where nothing is modelled.
  public var difference: Int? { modelled.map { recorded - $0 } }

  /// How the model's figure is known; nil where there is none.
  public var basis: Basis? { range.map { doubt == nil && $0.count == 1 ? .derived : .assumed } }

  /// A figure and its verdict.
  ///
  /// - Parameter isBound: whether the host's figure is an upper bound of the model's.
  init(
    _ kind: Kind, process: ThreadID? = nil, recorded: Int, modelled: Int, range: ClosedRange<Int>? = nil,
    doubt: MarkerDoubt?, isBound: Bool = false
  ) {
    self.kind = kind
    self.process = process
    self.recorded = recorded
    self.modelled = modelled
    let range = range ?? modelled...modelled
    self.range = range
    let fits = isBound ? range.lowerBound <= recorded : range.contains(recorded)
    // What a bound leaves room for would fit in any case.
    let agrees = range.contains(recorded)
    let doubt = agrees ? doubt.flatMap { $0.isRefutedByFit ? nil : $0 } : doubt
    self.doubt = doubt
    verdict = doubt != nil ? .unknown : !fits ? .differs : agrees ? .agrees : .covers
  }

  /// A figure of which nothing is modelled.
  init(unmodelled kind: Kind, process: ThreadID? = nil, recorded: Int, doubt: MarkerDoubt) {
    self.kind = kind
    self.process = process
    self.recorded = recorded
    self.doubt = doubt
    verdict = .unknown
  }
}

/// Why a figure of a marker cannot be held against the model.
public enum MarkerDoubt: UInt8, Hashable, Sendable, CaseIterable {
  /// Events were lost since the first marker.
  case lostEvents
  /// VMs were there at the first marker, or before the trace.
  case begunMidLife
  /// No probe on `kvm_arch_init_vm` and `kvm_arch_destroy_vm` told which VMs there were.
  case unknownVMs
  /// Memslots are assumed, or where they lie is not known.
  case assumedMemslots
  /// VMs have an IPA size or a protection that is not the model's.
  case otherVMType
  /// Blocks may map memory that is not among the VMM's huge pages: of hugetlb, shmem or files where those are not told, or
  /// the huge zero page.
  case otherHugePages
  /// VMs of one process may map the same memory.
  case sharedMemory
  /// The event that tells of it was not recorded.
  case notRecorded
  /// The host unmapped memory of a VM after its last exit, and perhaps after the figures were counted.
  case movedMeanwhile
  /// The marker tells of VMMs, but not of one that has a VM: it was not stopped, or is on its way out.
  case notStopped
  /// Guests have guests of their own: the host counts shadow tables, which are not modelled.
  case nestedGuests
  /// The clock does not order the events of different CPUs.
  case unorderedClock

  /// The reason in a phrase.
  public var statement: String {
    switch self {
    case .lostEvents: "events were lost"
    case .begunMidLife: "VMs were running at the first marker"
    case .unknownVMs: "no probe tells which VMs there were"
    case .assumedMemslots: "memslots are assumed"
    case .otherVMType: "VMs are of another type than the model's"
    case .otherHugePages: "blocks may map other huge pages"
    case .sharedMemory: "VMs of one process may share memory"
    case .notRecorded: "the event was not recorded"
    case .movedMeanwhile: "the host moved memory meanwhile"
    case .notStopped: "a VM's process was not stopped"
    case .nestedGuests: "guests have guests of their own"
    case .unorderedClock: "the clock does not order the events of different CPUs"
    }
  }

  /// Whether a figure that fits shows that there was no reason for the doubt: it was counted before the move, say.
  fileprivate var isRefutedByFit: Bool {
    switch self {
    case .movedMeanwhile, .notStopped, .notRecorded: true
    default: false
    }
  }

  /// What a divergence calls it, nil for what is no exception of a rule.
  var exception: DivergenceException? {
    switch self {
    case .lostEvents: .lostEvents
    case .begunMidLife: .begunMidLife
    case .movedMeanwhile: .hostMemoryManagement
    case .nestedGuests: .syntheticFault
    case .unorderedClock: .unorderedClock
    case .unknownVMs, .assumedMemslots, .otherVMType, .otherHugePages, .sharedMemory, .notRecorded,
      .notStopped:
      nil
    }
  }
}

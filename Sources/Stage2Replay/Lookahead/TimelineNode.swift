internal import KVMTypes

/// What a trace tells about one stretch of guest memory of the size of a level-2 block, in the order of events.
///
/// A decision about a fault needs what came after it in its region: the level of a later fault shows whether a page
/// or a block was mapped, a repetition shows that nothing was. So every event that concerns a region in which a
/// fault waits for its decision is kept as a node of that region's chain, and given up once no fault waits there.
/// The nodes of all regions lie in one array with a free list; chains link their positions.
struct TimelineNode: BitwiseCopyable {
  /// The place of a node among all of them.
  struct Index: Hashable, BitwiseCopyable {
    let rawValue: Int32

    @inline(__always)
    init(_ position: Int) { rawValue = Int32(truncatingIfNeeded: position) }

    @inline(__always)
    var position: Int { Int(rawValue) }
  }

  /// The end of a chain.
  static let none = Index(-1)

  enum Kind: UInt8 {
    case translationFault, permissionFault, accessFault, unmap, age, testAge, slotChange, loggingBegins
  }

  /// The event's place in the merged trace, and for a fault the thread's last kvm_entry before it and the end of its window.
  var sequence: Sequence
  var entry = Sequence.start
  var end = Sequence.pending
  /// The frames concerned: one for a fault, those of the range for everything else.
  var frames: FrameRange
  var next: Index = Self.none
  /// The event before, none where it can decide nothing any more.
  var previous: Index = Self.none
  /// For a fault: the next one on the same page.
  var nextOnPage: Index = Self.none
  /// For what takes memory away: the next such event in the region.
  var nextLoss: Index {
    get { nextOnPage }
    set { nextOnPage = newValue }
  }
  var tid: ThreadID
  let kind: Kind
  /// For a fault: what its syndrome says.
  private(set) var level = TranslationLevel.l3
  private var marks: Marks = []
  /// For a fault: the processor on which the guest ran, nil where the trace does not tell.
  private(set) var ranOn: CPUIndex?

  private struct Marks: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    static let write = Marks(rawValue: 1)
    static let exec = Marks(rawValue: 2)
    static let stage1Walk = Marks(rawValue: 4)
    static let waiting = Marks(rawValue: 8)
    static let raced = Marks(rawValue: 16)
    static let followsRival = Marks(rawValue: 32)
    static let filed = Marks(rawValue: 64)
    static let ofBlockRegion = Marks(rawValue: 128)
  }

  /// Something that happens to frames.
  init(_ kind: Kind, _ frames: FrameRange, by tid: ThreadID, at sequence: Sequence) {
    self.kind = kind
    self.frames = frames
    self.tid = tid
    self.sequence = sequence
  }

  /// A fault on `gfn` of a vCPU that entered at `entry`.
  @inline(__always)
  init(
    _ access: FaultAccess, _ gfn: GFN, by tid: ThreadID, ranOn: CPUIndex?, at sequence: Sequence,
    entry: Sequence
  ) {
    self.init(Kind(access.kind), FrameRange(start: gfn, end: gfn + 1), by: tid, at: sequence)
    self.entry = entry
    level = access.level
    self.ranOn = ranOn
    marks[.write] = access.isWrite
    marks[.exec] = access.isExec
    marks[.stage1Walk] = access.isStage1Walk
  }

  var isWrite: Bool { marks[.write] }
  var isExec: Bool { marks[.exec] }
  var isStage1Walk: Bool { marks[.stage1Walk] }
  /// Whether the node is a fault that waits for its decision.
  var isWaiting: Bool {
    get { marks[.waiting] }
    set { marks[.waiting] = newValue }
  }
  /// Whether another vCPU faulted on the page, or in a region that can hold a block, while the operation of either
  /// may have been under way: the order of the two is not known.
  var isRaced: Bool {
    get { marks[.raced] }
    set { marks[.raced] = newValue }
  }
  /// Whether another vCPU's fault there ended after this one's vCPU had entered: that operation came first, but the
  /// walk may have come before it.
  var followsRival: Bool {
    get { marks[.followsRival] }
    set { marks[.followsRival] = newValue }
  }

  /// Whether the node is a fault that is filed under its page.
  var isFiled: Bool {
    get { marks[.filed] }
    set { marks[.filed] = newValue }
  }

  /// Whether the region could hold a block when its chain began.
  var isOfBlockRegion: Bool {
    get { marks[.ofBlockRegion] }
    set { marks[.ofBlockRegion] = newValue }
  }

  var isFault: Bool { kind.rawValue <= Kind.accessFault.rawValue }
  /// Whether the frames are gone from the table afterwards.
  var isLoss: Bool { kind == .unmap || kind == .slotChange }

  /// Out of its chain nothing is known of other faults, so the order of the operations is not.
  mutating func detach() {
    (next, previous, nextOnPage) = (Self.none, Self.none, Self.none)
    isWaiting = false
    isFiled = false
    isRaced = true
  }
}

extension TimelineNode.Kind {
  fileprivate init(_ kind: FaultKind) {
    switch kind {
    case .permission: self = .permissionFault
    case .accessFlag: self = .accessFault
    default: self = .translationFault
    }
  }
}

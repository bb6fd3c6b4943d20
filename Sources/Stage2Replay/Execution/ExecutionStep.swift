internal import KVMTypes
internal import Stage2Model

/// Where a step of the execution comes from: who did it, when, and where in the trace.
struct StepOrigin: BitwiseCopyable {
  var sequence: Sequence
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// Which window and which notifier event of the thread this belongs to.
  var place: ThreadPlace
  var doubts: RangeDoubts = []

  init(_ record: PendingRecord) {
    sequence = record.sequence
    time = record.time
    cpu = record.cpu
    tid = record.tid
    place = record.place
    doubts = record.doubts
  }
}

/// What a fault's window and what followed say of it, as far as the trace tells.
struct FaultDecision: BitwiseCopyable {
  /// What became of the fault, if the page was not mapped when it operated, and if it was.
  var outcome: FaultOutcome
  var outcomeIfMapped: FaultOutcome
  /// What followed in the region proves of the size of the mapping, nil where nothing does.
  var sizeProof: MappingSize?
  /// Whether the slot lets a block be mapped where the fault is; false where that was not asked, for it maps nothing.
  var mayMapBlock = false
  /// The page takes a write permission fault later, before it is unmapped.
  var isWrittenLater: Bool
  /// The order of the fault and of another vCPU's in the region is not known.
  var isRaced: Bool
  /// Another fault had to change the same entry, and nobody had mapped the page afterwards.
  var isLeftUnmapped = false
  /// What becomes of what the fault maps.
  var fate = MappingFate.stays
}

extension FaultDecision {
  /// Whether the fault may have led to a map or a relaxation of rights.
  var mayPerform: Bool {
    if case .performed = outcome { return true }
    if case .performed = outcomeIfMapped { return true }
    return false
  }

  /// For a fault that only is held against the model.
  static let none = FaultDecision(
    outcome: .nothing(.otherFault), outcomeIfMapped: .nothing(.otherFault), sizeProof: nil,
    isWrittenLater: false, isRaced: false)
}

/// What becomes of a fault's mapping where its slot is removed in the window.
enum MappingFate: UInt8 {
  /// It is there until somebody takes it away, as that of every other fault.
  case stays
  /// It went with the slot, whose unmap is settled already.
  case gone
  /// Either.
  case unclear
}

/// A fault with all that there is to know of it.
struct DecidedFault: BitwiseCopyable {
  var window: FaultWindow
  var decision: FaultDecision
}

/// An age of frames, or a test of theirs.
struct AgeOfFrames: BitwiseCopyable {
  var frames: FrameRange
  var markOld: Bool
  /// A fault was open in one of the regions that they touch.
  var duringFault: Bool
  /// The VM was being torn down.
  var isDead: Bool
  /// What was missing of the trace at its event.
  var epoch: Epoch
}

/// What happens to a VM, in the order in which its execution has to take it in.
struct ExecutionStep {
  enum Action {
    /// The fault at a position of the batch.
    case fault(Int)
    /// The fault at a position of the batch, which only is held against the model.
    case check(Int)
    /// `kvm_unmap_gfn_range`.
    case unmap(FrameRange, isDead: Bool)
    /// `kvm_age_gfn`, or `kvm_test_age_gfn`.
    case age(AgeOfFrames)
    /// `kvm_mmu_wp_memory_region`.
    case wrprotect(FrameRange)
    /// Something happens to the dirty bitmap of a slot.
    case dirtyLog(DirtyLogChange)
    /// Dirty logging ends.
    case endLogging(FrameRange)
    /// `kvm_arch_flush_shadow_memslot`.
    case deleteSlot(FrameRange)
    /// vCPUs are initialised again: those at a position of the batch.
    case reset(Int)
    /// What was taken in of the VM, ahead of its execution: the fact at a position of the batch.
    case learn(Int)
  }

  var action: Action
  /// The step's place among those of all VMs.
  var order: UInt64
  var origin: StepOrigin?
}

/// What events tell of a VM ahead of its execution.
enum VMFact {
  /// A slot comes into force.
  case slotInserted(Memslot)
  /// A slot goes out of force.
  case slotRemoved(base: GFN)
  /// A commit tells of a slot that goes.
  case removal(SlotRemoval)
  /// A fault touches a region for the first time.
  case regionTouched(RegionIndex, block: UInt64)
  /// A walk of its table stops at this level.
  case startLevel(TranslationLevel)
  /// A fault that was not seen, if a thread had one, began behind a place, and was over at another one.
  case unseenFault(since: Sequence, until: Sequence)
  /// The VM is gone, or another one has taken its place.
  case ended(VMEnd)
  /// All that was settled of it and happened before its end has been told.
  case gone
}

/// The steps of one VM that wait for their execution.
struct ExecutionBatch: ~Copyable {
  private(set) var steps = RecordStore<ExecutionStep>()
  private var faults = RecordStore<DecidedFault>()
  private var facts: ContiguousArray<VMFact> = []
  private var resets: ContiguousArray<VCPUReset> = []

  @inline(__always)
  mutating func append(_ action: ExecutionStep.Action, order: UInt64, _ origin: StepOrigin?) {
    steps.append(ExecutionStep(action: action, order: order, origin: origin))
  }

  /// Puts a fault in and returns its position.
  @inline(__always)
  mutating func append(_ window: UnsafePointer<FaultWindow>, _ decision: FaultDecision) -> Int {
    // Put together elsewhere, it would be copied once more.
    let fault = faults.appendPlace()
    fault.pointee.window = window.pointee
    fault.pointee.decision = decision
    return faults.count - 1
  }

  /// Puts a fact in and returns its position.
  mutating func append(_ fact: VMFact) -> Int {
    facts.append(fact)
    return facts.count - 1
  }

  /// Puts a reset in and returns its position.
  mutating func append(_ reset: VCPUReset) -> Int {
    resets.append(reset)
    return resets.count - 1
  }

  /// How many faults there are. Positions of faults go up from step to step.
  @inline(__always)
  var faultCount: Int { faults.count }

  /// The fault at a position, read where it lies.
  @inline(__always)
  func fault(_ position: Int) -> SettledFault { SettledFault(at: faults.place(of: position)) }

  func fact(_ position: Int) -> VMFact { facts[position] }

  func reset(_ position: Int) -> VCPUReset { resets[position] }

  /// Takes all out.
  mutating func removeAll() {
    steps.removeAll()
    faults.removeAll()
    facts.removeAll(keepingCapacity: true)
    resets.removeAll()
  }
}

/// The steps of all VMs that wait for their execution, in the order of the kernel's actions.
///
/// What is of one VM concerns no other: the batches can be executed one after the other or side by side. `order` numbers
/// all steps, so that what comes of them can be told in one order whoever was first.
struct ExecutionQueue: ~Copyable {
  private var batches = RecordStore<ExecutionBatch>()
  /// The VMs for which something waits. Others cost nothing, however many there were.
  private(set) var vms: ContiguousArray<VMIndex> = []
  /// VMs whose batches have the storage of the last time.
  private var idle: ContiguousArray<VMIndex> = []
  /// The memory markers among the steps: what comes before one is executed first.
  private(set) var markers: [(order: UInt64, marker: Int)] = []
  private var order: UInt64 = 0
  /// VMs that have ended, and where in the trace, while something of before may wait for its turn.
  private var ending: ContiguousArray<(vm: VMIndex, end: Sequence)> = []
  /// The last number that was given before.
  private var begin: UInt64 = 0
  /// Steps that wait.
  private(set) var count = 0

  /// The number of the next step, also given to what is put down at event time between steps.
  mutating func nextOrder() -> UInt64 {
    order += 1
    return order
  }

  mutating func append(_ action: ExecutionStep.Action, _ vm: VMIndex, _ origin: StepOrigin?) {
    let order = beginStep(of: vm)
    batches[vm.position].append(action, order: order, origin)
  }

  /// Puts a fault in, as its window is now.
  @inline(__always)
  mutating func append(
    _ window: UnsafePointer<FaultWindow>, _ decision: FaultDecision, _ vm: VMIndex, _ origin: StepOrigin,
    isCheck: Bool
  ) {
    let order = beginStep(of: vm)
    let position = batches[vm.position].append(window, decision)
    batches[vm.position].append(isCheck ? .check(position) : .fault(position), order: order, origin)
  }

  mutating func append(_ fact: VMFact, _ vm: VMIndex) {
    let order = beginStep(of: vm)
    let position = batches[vm.position].append(fact)
    batches[vm.position].append(.learn(position), order: order, nil)
  }

  mutating func append(_ reset: VCPUReset, _ vm: VMIndex, _ origin: StepOrigin) {
    let order = beginStep(of: vm)
    let position = batches[vm.position].append(reset)
    batches[vm.position].append(.reset(position), order: order, origin)
  }

  /// A step of a VM follows.
  ///
  /// - Returns: its number.
  @inline(__always)
  private mutating func beginStep(of vm: VMIndex) -> UInt64 {
    while batches.count <= vm.position { batches.append(ExecutionBatch()) }
    if batches[vm.position].steps.count == 0 { vms.append(vm) }
    count += 1
    return nextOrder()
  }

  /// A VM ends.
  mutating func noteEnd(of vm: VMIndex, at now: Sequence) { ending.append((vm, now)) }

  /// Says of the VMs that ended before `oldest` that they are gone: nothing of before waits any more.
  mutating func settleEnds(before oldest: Sequence) {
    let count = ending.firstIndex { $0.end >= oldest } ?? ending.count
    for (vm, _) in ending.prefix(count) { append(.gone, vm) }
    ending.removeFirst(count)
  }

  mutating func append(marker: Int) {
    count += 1
    markers.append((nextOrder(), marker))
  }

  /// Where that lies which waits for a VM, until anything is appended to this queue.
  func place(of vm: VMIndex) -> UnsafePointer<ExecutionBatch> {
    UnsafePointer(batches.place(of: vm.position))
  }

  /// The numbers since the steps before: each is that of one step, or was given to something else.
  var orders: Range<UInt64> { begin + 1..<order + 1 }

  /// Takes the steps that wait in `other`, which gets this queue's storage for the next ones.
  mutating func take(from other: inout ExecutionQueue) {
    removeAll()
    (order, begin) = (other.order, other.order)
    swap(&self, &other)
    swap(&ending, &other.ending)
  }

  private mutating func removeAll() {
    count = 0
    markers.removeAll()
    // Whose turn came, keeps the storage; of a VM to which nothing happens any more nothing is kept.
    for vm in idle where batches[vm.position].steps.count == 0 { batches[vm.position] = ExecutionBatch() }
    for vm in vms { batches[vm.position].removeAll() }
    swap(&idle, &vms)
    vms.removeAll(keepingCapacity: true)
  }
}

extension CallCause {
  /// What a backend is told of a step.
  @inline(__always)
  init(_ action: ExecutionStep.Action, _ origin: StepOrigin) {
    let kind: Kind =
      switch action {
      case .fault, .check: .fault
      case .unmap: .unmap
      case .age: .age
      case .wrprotect: .writeProtection
      case .dirtyLog, .endLogging: .dirtyLog
      case .deleteSlot: .slotRemoval
      case .reset: .vcpuInit
      case .learn: .other
      }
    self.init(kind, time: origin.time, cpu: origin.cpu, tid: origin.tid)
  }
}

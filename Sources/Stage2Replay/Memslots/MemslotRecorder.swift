internal import KVMTrace
internal import KVMTypes

/// The memslots that the probes of a trace record, as a history.
struct MemslotRecorder {
  /// What was recorded so far.
  private(set) var history = MemslotHistory()
  private var roster = VMRoster()
  /// By VM, the slots that it has now.
  private var tables: [MemslotTable] = []
  /// By VM, where in the history the slot is that begins at a frame now.
  private var positions: [[GFN: Int]] = []
  /// By VM, the frames of which a change told anything: a slot that was there from the beginning has none of them.
  private var told: [FrameSet] = []
  /// By VM, whether a probe told of its creation.
  private var created: [Bool] = []
  /// The addresses that VMs had so far.
  private var known: Set<KernelAddress> = []
  private var sawLoss = false
  private var requests: MemslotRequests
  private let source: MemslotProbe
  private let pageSize: PageSize
  private let keepsAll: Bool

  /// A recorder that listens to one kind of probe.
  ///
  /// - Parameter keepsAll: whether all of the history is kept; else the slots alone that were there before the trace
  ///   began, as they were then.
  init(_ source: MemslotProbe, pageSize: PageSize, keepsAll: Bool = true) {
    self.source = source
    self.pageSize = pageSize
    self.keepsAll = keepsAll
    requests = MemslotRequests(pageSize: pageSize, hasReturns: source == .requestsAndReturns)
  }

  /// - Parameter place: how many events that have the record's time come before it.
  mutating func consume(_ record: TraceRecord, place: Int = 0) {
    switch record.kind {
    case .commitMemoryRegion where source == .commits:
      if let update = MemslotUpdate(record.memslotCommit, pageSize) {
        apply(update, record.memslotCommit.kvm, record, place: place)
      }
    case .setMemoryRegion where source.hasRequests:
      if let (kvm, update) = requests.call(record.memslotRequest, by: record.tid) {
        apply(update, kvm, record, place: place)
      }
    case .setMemoryRegionReturn where source == .requestsAndReturns:
      if let (kvm, update) = requests.callReturned(record.probedReturn, to: record.tid) {
        apply(update, kvm, record, place: place)
      }
    case .initVM: _ = roster.initVM(record.vmCreation.kvm, record.vmCreation.type)
    case .destroyVM: _ = roster.destroyVM(record.destroyedVM)
    case .lost: lose()
    default: break
    }
  }

  /// Events are missing: a slot that is not known may have been created among them.
  mutating func lose() { sawLoss = true }

  /// Whether a VM was created since the trace began.
  ///
  /// - Parameter areRunning: whether those were there before of which nothing but new slots are told, unless a probe told of their
  ///   creation.
  func sawCreation(areRunning: Bool) -> Bool {
    history.vms.indices.contains { !history.vms[$0].isPartial && (created[$0] || !areRunning) }
  }

  /// The VMs whose slots a change shows to have been there before the trace began.
  var earlier: MemslotHistory {
    var earlier = history
    earlier.vms.removeAll { $0.slots.isEmpty }
    return earlier
  }

  /// The VMs that were there before the trace began, as changes show.
  ///
  /// - Parameter all: whether those are among them of which nothing but new slots are told.
  func running(all: Bool) -> [SlotCompletion.Running] {
    history.vms.indices.filter { history.vms[$0].isPartial || all && !created[$0] }
      .map { SlotCompletion.Running(vm: history.vms[$0], told: told[$0]) }
  }

  private mutating func apply(
    _ update: MemslotUpdate, _ kvm: KernelAddress, _ record: TraceRecord, place: Int
  ) {
    let vm = vm(of: update, kvm, record)
    let isByCreator = history.vms[vm].creator == record.tid
    let origin = MemslotHistory.ChangeOrigin(thread: isByCreator ? nil : record.tid, place: place)
    noteEarlierSlot(of: update, vm)
    if update.change != .create, let base = update.oldBase {
      let old = tables[vm].remove(base: base)
      let index = positions[vm].removeValue(forKey: base)
      if update.change == .flagsOnly, let index, let slot = update.slot {
        if keepsAll {
          history.vms[vm].slots[index].changes.append(
            .init(at: record.time, flags: slot.flags, origin: origin))
        }
        tables[vm].insert(slot)
        positions[vm][base] = index
        return
      }
      if keepsAll { end(old, index, of: vm, update, at: record.time, origin) }
    }
    guard let slot = update.slot else { return }
    tables[vm].insert(slot)
    guard keepsAll else { return }
    positions[vm][slot.base] = history.vms[vm].slots.count
    var life = MemslotHistory.Slot(slot, from: record.time)
    life.fromOrigin = origin
    history.vms[vm].slots.append(life)
  }

  /// A slot is deleted or moved away.
  private mutating func end(
    _ old: Memslot?, _ index: Int?, of vm: Int, _ update: MemslotUpdate, at time: Nanoseconds,
    _ origin: MemslotHistory.ChangeOrigin
  ) {
    if let index {
      history.vms[vm].slots[index].to = time
      history.vms[vm].slots[index].toOrigin = origin
    } else if old == nil, let slot = update.earlierSlot, update.change != .flagsOnly,
      slot.isPossible(pageSize)
    {
      // Its creation was lost; where it was is known.
      var life = MemslotHistory.Slot(slot, to: time)
      life.toOrigin = origin
      history.vms[vm].slots.append(life)
    }
  }

  /// Puts down the slot that a change speaks of, if it was there before the trace began: no event created it.
  ///
  /// Where events were lost, its creation may be among them, unless the VM was running before.
  private mutating func noteEarlierSlot(of update: MemslotUpdate, _ vm: Int) {
    defer { if let slot = update.slot { told[vm].insert(slot.frames) } }
    guard var slot = update.earlierSlot, slot.isPossible(pageSize), !told[vm].overlaps(slot.frames),
      !roster.isKnownToLive(VMIndex(vm)), !sawLoss || history.vms[vm].isPartial
    else { return }
    if sawLoss { slot.basis = .assumed }
    told[vm].insert(slot.frames)
    tables[vm].insert(slot)
    positions[vm][slot.base] = history.vms[vm].slots.count
    history.vms[vm].slots.append(.init(slot))
    history.vms[vm].isPartial = true
  }

  /// The VM of a change: its number in the history.
  private mutating func vm(of update: MemslotUpdate, _ kvm: KernelAddress, _ record: TraceRecord) -> Int {
    let isContradicted = roster.vm(at: kvm).map { update.contradicts(tables[$0.position]) } ?? false
    let answer = roster.setMemoryRegion(
      of: kvm, update.change, by: record.tid, isContradicted: isContradicted)
    if answer.news == .appeared {
      history.vms.append(.init(creator: record.tid, kvm: kvm))
      // Where another one was taken to be gone, what is there now was not there before the trace began.
      let mayBeOld = known.insert(kvm).inserted
      history.vms[answer.vm.position].isPartial = mayBeOld && roster.wasRunning(answer.vm)
      created.append(roster.isKnownToLive(answer.vm))
      tables.append(MemslotTable(pageSize: pageSize))
      positions.append([:])
      told.append(FrameSet())
      if !mayBeOld { told[answer.vm.position].insert(FrameRange(start: GFN(0), end: GFN(.max))) }
    }
    return answer.vm.position
  }
}

/// Which probe tells of a trace's memslots.
enum MemslotProbe: Hashable, Sendable {
  /// That on `kvm_arch_commit_memory_region`: what has happened.
  case commits
  /// That on `kvm_set_memory_region`: what is asked for.
  case requests
  /// That, and the one on its return.
  case requestsAndReturns

  var hasRequests: Bool { self != .commits }
}

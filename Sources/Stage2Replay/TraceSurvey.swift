internal import KVMTrace
internal import KVMTypes

/// A first pass over a trace, for what has to be known before the first event can be modelled.
struct TraceSurvey {
  /// A vCPU took an access flag fault: its CPU does not set the flag itself.
  var sawAccessFlagFault = false
  /// KVM said so by an event of its own, which need not be traced.
  var sawAccessFault = false
  /// The guest executed what was mapped for data, and faulted.
  var sawExecPermissionFault = false
  /// The lowest level of a translation fault: the table begins there, or above.
  var lowestLevel: TranslationLevel?
  /// A translation fault came from a walk of the guest's own table.
  var sawStage1WalkFault = false
  /// The highest guest physical address that faulted.
  var highestIPA: UInt64 = 0
  /// vCPU threads waited for a VM's lock to write, or to read, inside a fault.
  var faultWaitsForWrite = 0
  var faultWaitsForRead = 0
  /// Which events the trace has, and which it lacks.
  private var recording = RecordingSurvey()
  private(set) var events = RecordedEvents(missing: [])
  /// Whether any event of KVM's own was seen.
  var sawKVM: Bool { recording.sawKVM }
  /// Waits for any lock were recorded.
  var sawContention = false
  /// Faults that were taken while another thread's fault was open.
  var overlappingFaults = 0
  /// Which events of a vCPU's loop the trace has.
  var recorded: ThreadOrder.Recorded {
    ThreadOrder.Recorded(loop: sawEntry && sawExit && sawGuestFault, accessFaults: sawAccessFault)
  }
  /// What notifiers aged.
  private(set) var ages = HostAges()
  /// How faults stopped in the regions that a block may map.
  private(set) var regions: FaultedRegions
  /// By thread, the lowest level of a translation fault.
  private(set) var lowestLevels: [ThreadID: TranslationLevel] = [:]
  /// When events are missing.
  private(set) var gaps = LossGaps()
  private var sawEntry = false
  private(set) var sawExit = false
  private(set) var sawMMIO = false
  private var sawGuestFault = false
  /// The threads that created VMs, or gave them their first slots.
  private(set) var creators: Set<ThreadID> = []
  /// Markers, and the types of VMs.
  var markers: MarkerSurvey
  /// Damaged places of each CPU's buffer so far.
  private var damage: [Int: Int] = [:]
  /// The first and the last event of the part that is replayed.
  var first: Nanoseconds?
  var last = Nanoseconds(0)
  private var kvms: Set<KernelAddress> = []
  private var openFaults: Set<ThreadID> = []

  /// A survey that knows the addresses of some VMs beforehand.
  init(kvms: [KernelAddress], pageSize: PageSize = .size4K) {
    self.kvms = Set(kvms)
    regions = FaultedRegions(pageSize: pageSize)
    markers = MarkerSurvey(pageSize: pageSize)
  }

  /// The buffer of a CPU has had so many damaged places when it comes to its next event, at `time`: what is missing is not
  /// known, nor where it ends. Where the time went back, what came before that event in the file is as doubtful.
  mutating func noteDamage(_ count: Int, of cpu: CPUIndex, before time: Nanoseconds) {
    guard count > 0, damage[Int(cpu.rawValue), default: 0] < count else { return }
    damage[Int(cpu.rawValue)] = count
    gaps.lose(cpu, from: time)
    markers.mapped.lose()
  }

  /// Whether the first pass over the trace found as many damaged places in a buffer of `cpu`.
  func knows(damage count: Int, of cpu: CPUIndex) -> Bool {
    count == 0 || damage[Int(cpu.rawValue), default: 0] >= count
  }

  /// All events have been seen. Damage at the end of a CPU's buffer has no event behind it, and damage of the file
  /// concerns every CPU.
  ///
  /// - Parameter known: the kinds of event that there can be, nil where that is not known.
  mutating func finish(damage places: [Damage], cpus: Int, known: Set<EventKind>?) {
    events = recording.recorded(known)
    if !places.isEmpty { markers.mapped.lose() }
    for cpu in Set(places.compactMap(\.cpu)) { gaps.lose(CPUIndex(cpu)) }
    if places.contains(where: { $0.cpu == nil }) { gaps.loseAll(cpus) }
  }

  mutating func consume(_ record: TraceRecord) {
    defer { gaps.note(record.cpu, at: record.time) }
    if first == nil { first = record.time }
    last = max(last, record.time)
    markers.mapped.consume(record)
    recording.consume(record)
    switch record.kind {
    case .lost: gaps.lose(record.cpu, until: record.time)
    case .commitMemoryRegion: noteSlot(of: record.memslotCommit.kvm, by: record.tid)
    case .setMemoryRegion: noteSlot(of: record.memslotRequest.kvm, by: record.tid)
    case .initVM:
      creators.insert(record.tid)
      markers.note(record.vmCreation)
    case .mmio: sawMMIO = true
    case .accessFault: (sawAccessFlagFault, sawAccessFault) = (true, true)
    case .exit:
      sawExit = true
      openFaults.remove(record.tid)
    case .entry:
      sawEntry = true
      openFaults.remove(record.tid)
    case .guestFault:
      sawGuestFault = true
      let fault = record.guestFault
      if fault.ipa.rawValue < IPA.limit { highestIPA = max(highestIPA, fault.ipa.rawValue) }
      if fault.esr.faultKind == .translation, let level = fault.esr.level {
        // Emulators report the level of the stage-1 table for a fault of its walk.
        if fault.esr.isStage1Walk {
          sawStage1WalkFault = true
        } else {
          lowestLevel = min(lowestLevel ?? level, level)
          regions.note(fault.ipa, level)
          if lowestLevels[record.tid].map({ $0 > level }) ?? true { lowestLevels[record.tid] = level }
        }
      }
      if fault.esr.faultKind == .accessFlag { sawAccessFlagFault = true }
      if fault.esr.faultKind == .permission, fault.esr.isExec { sawExecPermissionFault = true }
      if sawEntry, openFaults.contains(where: { $0 != record.tid }) { overlappingFaults += 1 }
      // An access flag fault takes the lock to read on either path.
      if fault.esr.faultKind != .accessFlag { openFaults.insert(record.tid) }
    case .unmapHVARange, .ageHVA, .testAgeHVA:
      // A notifier takes the lock to write on either path.
      openFaults.remove(record.tid)
      if record.kind == .ageHVA { ages.note(record.hvaRange) }
    case .contentionBegin:
      sawContention = true
      guard openFaults.contains(record.tid), kvms.contains(record.contendedLock) else { return }
      if record.contentionFlags.contains(.write) { faultWaitsForWrite += 1 }
      if record.contentionFlags.contains(.read) { faultWaitsForRead += 1 }
    default: break
    }
  }

  private mutating func noteSlot(of kvm: KernelAddress, by thread: ThreadID) {
    if kvms.insert(kvm).inserted { creators.insert(thread) }
    markers.note(slotOf: kvm)
  }
}

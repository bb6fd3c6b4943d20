internal import KVMTrace
internal import KVMTypes

/// What the first pass over a trace finds of markers and of the types of VMs.
struct MarkerSurvey {
  /// The memory markers, by the position of their event among all of `ftrace:print`.
  private(set) var memory: [Int: MemoryMarker] = [:]
  /// The positions of those that say that everything is quiet.
  private(set) var quiet: Set<Int> = []
  /// How the recording was made, by the first marker that says so.
  private(set) var settings: [TraceMarker.Setting] = []
  /// What the trace says of the part of a recording that it is, in its first event; nil for a whole one.
  private(set) var slice: SliceMarker?
  /// The threads that ran guests before that part, and before anything was missing.
  private(set) var running: Set<ThreadID> = []
  /// Whether probes tell of VMs.
  private(set) var sawVMs = false
  /// The types of VMs that had memslots.
  private(set) var types: Set<VMType> = []
  /// What faults certainly mapped, and whether the host had mapping objects for it.
  var mapped: MappedMemory
  private var prints = 0
  private var typeOfKVM: [KernelAddress: VMType] = [:]

  /// Nothing was found yet.
  init(pageSize: PageSize) { mapped = MappedMemory(pageSize: pageSize) }

  /// How many events of `ftrace:print` there were.
  var count: Int { prints }

  /// The bits of an IPA that the host resolves, nil where no marker tells.
  var ipaLimit: Int? { memory.values.lazy.compactMap(\.ipaLimit).first }

  /// Whether the host had objects of `struct pkvm_mapping`, which only pKVM has.
  var sawMappings: Bool { memory.values.contains { ($0.mappings ?? 0) > 0 } }

  /// The one type of all VMs that had memslots, nil where they have several or no probe told.
  var onlyType: VMType? { types.count == 1 ? types.first : nil }

  /// An event of `ftrace:print`; nil for one that is no marker.
  ///
  /// - Parameters:
  ///   - time: its stamp.
  ///   - first: that of the trace's first event.
  mutating func note(_ marker: TraceMarker?, at time: Nanoseconds, first: Nanoseconds) {
    defer { prints += 1 }
    switch marker {
    case .quiet: quiet.insert(prints)
    case .memory(let marker):
      memory[prints] = marker
      if let mappings = marker.mappings { mapped.note(mappings: mappings) }
    case .lab(let settings): if self.settings.isEmpty { self.settings = settings }
    case .slice: slice = slice ?? SliceMarker(marker, at: time, first: first)
    case .threads(let list) where list.role == .running && slice != nil:
      running.formUnion(list.threads)
    case .threads, nil: break
    }
  }

  mutating func note(_ creation: VMCreation) {
    sawVMs = true
    typeOfKVM[creation.kvm] = creation.type
  }

  mutating func note(slotOf kvm: KernelAddress) {
    if let type = typeOfKVM.removeValue(forKey: kvm) { types.insert(type) }
  }
}

internal import CStage2Backend
internal import KVMTypes
internal import Stage2Model

/// What a foreign backend tells of one VM while it works: of the operation that is under way, and in sum.
///
/// Invariant: `words` points to room for `roomInWords` words until deinit.
struct ForeignEffects: ~Copyable {
  /// An item is its name's number and how many arguments it has, its result, and its arguments.
  private static let roomInWords = 1024
  private static let argumentsMax = 8

  /// Of the shared object, which outlives its VMs.
  let names: UnsafeMutablePointer<EffectNames>
  private let words: UnsafeMutablePointer<UInt64>
  /// How many effects the operation has.
  struct Counts {
    /// Words of those that are kept.
    var words = 0
    /// Those that are kept.
    var kept = 0
    var all = 0
  }

  private(set) var counts = Counts()
  /// The leaf behind it, and its frame, as an `EffectRecord` has them.
  var walked: (word: UInt64, frame: UInt64) = (0, 0)
  /// Those that are not kept any more.
  private(set) var untold = UntoldEffects()
  /// All of them by kinds, where there are some that are not kept.
  private(set) var kinds = KindDigests()
  /// Everything about the operation's effects, in order.
  private(set) var digest = Digest()
  /// Which hypercalls it made, in any order.
  private(set) var hypercallSum: UInt64 = 0
  /// In sum, since the VM's beginning.
  var tally: EffectTally
  /// The memory that it has.
  var memory: ForeignMemory
  /// The host loads a vCPU that the kernel loaded long ago: its `vcpu_load` and `vcpu_put` are of nobody.
  var isLoading = false
  /// What the kernel tells of itself.
  let log: KernelLog
  var hasPanicked: Bool { log.panic != nil }

  init(_ names: UnsafeMutablePointer<EffectNames>, _ nothing: MemoryAccounting, _ log: KernelLog) {
    self.names = names
    self.log = log
    words = .allocate(capacity: Self.roomInWords)
    tally = EffectTally(pageSize: nothing.pageSize)
    memory = ForeignMemory(nothing)
  }

  deinit { words.deallocate() }

  /// The items that are kept.
  var keptWords: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(start: words, count: counts.words) }

  /// An operation begins.
  @inline(__always)
  mutating func begin() {
    counts = Counts()
    walked = (0, 0)
    digest = Digest()
    hypercallSum = 0
    if !untold.isEmpty { untold.removeAll() }
  }

  mutating func hypercall(
    _ name: UnsafePointer<CChar>, _ arguments: UnsafeBufferPointer<UInt64>, result: Int64
  ) {
    let id = names.pointee.number(of: UInt(bitPattern: name)) {
      EffectNames.Name(.hypercall, HypercallNames.short(String(cString: name)))
    }
    if tally.count(names.pointee.all[Int(id)].call, isLoading: isLoading) { return }
    note(id, arguments, result: result)
    hypercallSum &+= names.pointee.all[Int(id)].hash
    if result == 0, arguments.count >= 3, arguments[2] > 1, tally.lastCall == .hostUnshareGuest {
      memory.blockGoes()
    }
  }

  mutating func warning(_ file: UnsafePointer<CChar>, line: UInt32, _ condition: UnsafePointer<CChar>?) {
    let id = names.pointee.number(of: UInt(bitPattern: file) ^ UInt(line) << 48) {
      let what = condition.map { String(cString: $0) } ?? ""
      return Self.placed(.warning, file, line: line, what)
    }
    log.warn(names.pointee.all[Int(id)])
    note(id, UnsafeBufferPointer(start: nil, count: 0), result: 0)
  }

  mutating func panic(_ file: UnsafePointer<CChar>?, line: UInt32, _ text: UnsafePointer<CChar>?) {
    let what = text.map { String(cString: $0) } ?? "the kernel stops"
    let name = file.map { Self.placed(.panic, $0, line: line, what) } ?? EffectNames.Name(.panic, what)
    stop(name)
  }

  private mutating func stop(_ name: EffectNames.Name) {
    log.stop(name)
    note(names.pointee.number(of: name), UnsafeBufferPointer(start: nil, count: 0), result: 0)
  }

  /// The backend makes no VM: it is as if the kernel stopped at once.
  mutating func refuse(_ reason: String) {
    stop(EffectNames.Name(.panic, "no VM can be made: \(reason)"))
  }

  /// A name with its place; one without words is told apart by its line.
  private static func placed(
    _ kind: EffectKind, _ file: UnsafePointer<CChar>, line: UInt32, _ what: String
  ) -> EffectNames.Name {
    let file = String(cString: file)
    return EffectNames.Name(kind, what.isEmpty ? "\(file): line \(line)" : "\(file): \(what)", line: line)
  }

  mutating func maintenance(_ kind: UInt32, ipa: UInt64, size: UInt64) {
    // No callback's string lies at so low an address.
    let id = names.pointee.number(of: 0x100 + UInt(kind)) {
      EffectNames.Name(.maintenance, EffectTally.maintenanceName(kind))
    }
    tally.maintain(kind, size)
    let arguments: (UInt64, UInt64) = (ipa, size)
    withUnsafeBytes(of: arguments) { note(id, $0.assumingMemoryBound(to: UInt64.self), result: 0) }
  }

  mutating func memory(_ object: UInt32, level: Int32, count: Int64, bytes: UInt64) {
    let id = names.pointee.number(of: 0x1000 + UInt(object) << 4 + UInt(level & 7)) {
      EffectNames.Name(.memory, ForeignMemory.name(object, level: level))
    }
    memory.note(object, level: level, count: count, bytes: bytes)
    let arguments: (UInt64, UInt64) = (UInt64(bitPattern: count), bytes)
    withUnsafeBytes(of: arguments) { note(id, $0.assumingMemoryBound(to: UInt64.self), result: 0) }
  }

  /// Something that there is of the VM, not an effect.
  mutating func state(_ name: EffectNames.Name, _ value: UInt64, digest: UInt64 = 0) {
    let id = names.pointee.number(of: name)
    let arguments: (UInt64, UInt64) = (value, digest)
    withUnsafeBytes(of: arguments) { note(id, $0.assumingMemoryBound(to: UInt64.self), result: 0) }
  }

  @inline(__always)
  private mutating func note(_ id: UInt32, _ arguments: UnsafeBufferPointer<UInt64>, result: Int64) {
    let count = min(arguments.count, Self.argumentsMax)
    let arguments = UnsafeBufferPointer(start: arguments.baseAddress, count: count)
    counts.all += 1
    digest.add(effect: names.pointee.all[Int(id)].hash, arguments, result: result)
    guard counts.words + 2 + count <= Self.roomInWords, untold.isEmpty else {
      return noteUntold(id, arguments, result: result)
    }
    let item = words + counts.words
    item[0] = UInt64(id) | UInt64(count) << 32
    item[1] = UInt64(bitPattern: result)
    for index in 0..<count { item[2 + index] = arguments[index] }
    counts.words += 2 + count
    counts.kept += 1
  }

  @inline(never)
  private mutating func noteUntold(
    _ id: UInt32, _ arguments: UnsafeBufferPointer<UInt64>, result: Int64
  ) {
    if untold.isEmpty { digestKept() }
    let name = names.pointee.all[Int(id)]
    untold.add(id, name.kind, arguments)
    kinds.add(name, arguments, result: result)
  }

  /// From here on effects are not kept any more: those that are begin the digests of all.
  private mutating func digestKept() {
    kinds = KindDigests()
    var place = 0
    for _ in 0..<counts.kept {
      let count = Int(words[place] >> 32)
      kinds.add(
        names.pointee.all[Int(UInt32(truncatingIfNeeded: words[place]))],
        UnsafeBufferPointer(start: words + place + 2, count: count),
        result: Int64(bitPattern: words[place + 1]))
      place += 2 + count
    }
  }
}

/// What a foreign backend did to one VM so far.
struct EffectTally {
  /// Hypercalls that the model knows, too.
  var hypercalls = HypercallCounts()
  /// Calls that it does not.
  private(set) var otherHypercalls = 0
  /// The last call, if the model knows it.
  private(set) var lastCall: Hypercall?
  /// TLB and cache maintenance in the model's terms.
  private(set) var counters = Stage2Counters()
  private let pageShift: UInt64

  init(pageSize: PageSize) { pageShift = pageSize.shift }

  /// Counts a hypercall, nil for one that the model does not know.
  ///
  /// - Returns: whether it is of nobody, because it only brings the host where the kernel was long ago.
  @inline(__always)
  mutating func count(_ call: Hypercall?, isLoading: Bool) -> Bool {
    lastCall = call
    guard let call else {
      otherHypercalls += 1
      return false
    }
    if isLoading, call == .vcpuLoad || call == .vcpuPut { return true }
    hypercalls.count(call)
    return false
  }

  mutating func maintain(_ kind: UInt32, _ size: UInt64) {
    switch s2_maintenance(rawValue: kind) {
    case S2_TLBI_VMID: counters.tlbiVMID += 1
    case S2_TLBI_IPA: counters.tlbiIPA += 1
    case S2_TLBI_IPA_NSH: counters.tlbiIPANonShareable += 1
    case S2_TLBI_RANGE: counters.tlbiRange += 1
    // A backend may state anything.
    case S2_DCACHE_CLEAN_INVAL: counters.dcachePages &+= Int(clamping: size >> pageShift)
    case S2_ICACHE_INVAL: counters.icachePages &+= Int(clamping: size >> pageShift)
    default: break
    }
  }

  static func maintenanceName(_ kind: UInt32) -> String {
    switch s2_maintenance(rawValue: kind) {
    case S2_TLBI_VMID: "TLBI of the VMID"
    case S2_TLBI_IPA: "TLBI by IPA"
    case S2_TLBI_IPA_NSH: "TLBI by IPA on this CPU"
    case S2_TLBI_RANGE: "TLBI of a range"
    case S2_DCACHE_CLEAN_INVAL: "data cache clean and invalidate"
    case S2_ICACHE_INVAL: "instruction cache invalidate"
    default: "maintenance of kind \(kind)"
    }
  }
}

/// Hypercalls by what a kernel calls them.
enum HypercallNames {
  /// Those that the model knows, by their short names.
  static let known = Dictionary(uniqueKeysWithValues: Hypercall.allCases.map { ($0.name, $0) })

  /// `share_guest` of `__pkvm_host_share_guest`: as reports call it.
  static func short(_ name: String) -> String {
    var rest = Substring(name)
    for prefix in ["__KVM_HOST_SMCCC_FUNC_", "__pkvm_", "__kvm_", "host_"] where rest.hasPrefix(prefix) {
      rest = rest.dropFirst(prefix.count)
    }
    return String(rest)
  }
}

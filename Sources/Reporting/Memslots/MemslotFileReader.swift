internal import KVMTrace
internal import KVMTypes
internal import Stage2Replay

/// Reads a file of memslots and checks it as the kernel would.
struct MemslotFileReader {
  typealias Failure = MemslotFile.Failure

  let pageBytes: UInt64

  private static let vmFields: Set<String> = ["creator", "kvm", "tids", "toNs", "partial", "slots"]
  private static let slotFields: Set<String> = [
    "id", "gfn", "pages", "hva", "flags", "fromNs", "fromPlace", "fromTid", "toNs", "toPlace", "toTid",
    "changes",
  ]
  /// What `info` adds to say where a slot comes from. Reading it back makes nothing more certain.
  private static let remarks: Set<String> = [
    "basis", "support", "contradictions", "confidence", "offsetBasis",
  ]
  /// `KVM_MEM_LOG_DIRTY_PAGES`, `KVM_MEM_READONLY`, `KVM_MEM_GUEST_MEMFD`.
  private static let flagsMax: UInt64 = 7
  /// `KVM_MEM_MAX_NR_PAGES`.
  private static let pagesMax: UInt64 = (1 << 31) - 1
  /// The frames of 52 bits of address.
  private var framesMax: UInt64 { (1 << 52) / pageBytes }

  func history(_ text: String) throws(Failure) -> MemslotHistory {
    let parsed: JSONValue
    do throws(JSONValue.SyntaxError) {
      parsed = try JSONValue(text)
    } catch {
      throw Failure(description: JSONLines.syntaxProblem(of: text) ?? "is not JSON")
    }
    guard case .object(let root) = parsed else {
      throw Failure(description: "is not a JSON object with \"version\" and \"vms\"")
    }
    let fields = Fields(path: "", object: root)
    try fields.expectOnly(ToolIdentity.fields.union(["version", "recording", "vms"]))
    guard let version = try fields.number("version", upTo: .max) else {
      throw Failure(description: "version: is missing; this program reads version \(MemslotFile.version)")
    }
    guard version == UInt64(MemslotFile.version) else {
      throw Failure(
        description: "version: is \(version), this program reads version \(MemslotFile.version)",
        field: "version")
    }
    var history = MemslotHistory()
    if let recording = try fields.object("recording") { history.origin = try origin(recording) }
    for vm in try fields.objects("vms", required: true) { history.vms.append(try self.vm(vm)) }
    try checkThreads(history)
    return history
  }

  private func origin(_ fields: Fields) throws(Failure) -> MemslotHistory.Origin {
    try fields.expectOnly(["path", "firstNs", "lastNs", "events"])
    return MemslotHistory.Origin(
      path: try fields.text("path"), first: try fields.number("firstNs", upTo: .max).map(Nanoseconds.init),
      last: try fields.number("lastNs", upTo: .max).map(Nanoseconds.init),
      events: try fields.required("events", upTo: .max))
  }

  private func vm(_ fields: Fields) throws(Failure) -> MemslotHistory.VM {
    try fields.expectOnly(Self.vmFields)
    var vm = MemslotHistory.VM()
    vm.creator = try fields.number("creator", upTo: Self.tidMax).map { ThreadID(Int32($0)) }
    vm.kvm = try fields.number("kvm", upTo: .max).map(KernelAddress.init)
    vm.to = try fields.number("toNs", upTo: .max).map(Nanoseconds.init)
    vm.isPartial = try fields.bool("partial") ?? false
    vm.tids = try fields.numbers("tids", upTo: Self.tidMax)?.map { ThreadID(Int32($0)) }
    let slots = try fields.objects("slots", required: true)
    for slot in slots { vm.slots.append(try self.slot(slot)) }
    try checkOverlaps(vm, slots)
    return vm
  }

  /// `PID_MAX_LIMIT`.
  private static let tidMax: UInt64 = (1 << 22) - 1

  private func slot(_ fields: Fields) throws(Failure) -> MemslotHistory.Slot {
    try fields.expectOnly(Self.slotFields.union(Self.remarks))
    let base = try fields.required("gfn", upTo: framesMax - 1)
    let pages = try fields.required("pages", upTo: Self.pagesMax)
    guard pages > 0 else { throw fields.failure("pages", "is 0, a slot has at least one page") }
    guard pages <= framesMax - base else {
      throw fields.failure("pages", "the slot ends above 52 bits of address")
    }
    let hva = try fields.number("hva", upTo: .max)
    if let hva {
      guard hva % pageBytes == 0 else {
        throw fields.failure("hva", "is not a multiple of the host's page size, \(pageBytes) bytes")
      }
      guard !hva.addingReportingOverflow(pages * pageBytes).overflow else {
        throw fields.failure("hva", "the slot ends above 64 bits of address")
      }
    }
    let flags = try fields.number("flags", upTo: Self.flagsMax) ?? 0
    var life = MemslotHistory.Slot(
      Memslot(
        id: try fields.number("id", upTo: UInt64(Int16.max)).map { Int16($0) }, base: GFN(base), pages: pages,
        hva: hva.map(HVA.init), flags: MemslotFlags(rawValue: UInt32(flags)), basis: .assumed),
      from: try fields.number("fromNs", upTo: .max).map(Nanoseconds.init),
      to: try fields.number("toNs", upTo: .max).map(Nanoseconds.init))
    life.fromOrigin = try origin(fields, "fromTid", "fromPlace")
    life.toOrigin = try origin(fields, "toTid", "toPlace")
    if life.from != nil, let end = life.end, end <= life.begin {
      throw fields.failure("toNs", "is not after fromNs")
    }
    for change in try fields.objects("changes", required: false) {
      life.changes.append(try self.change(change, of: life))
    }
    return life
  }

  private func change(
    _ fields: Fields, of life: MemslotHistory.Slot
  ) throws(Failure) -> MemslotHistory.FlagsChange {
    try fields.expectOnly(["atNs", "flags", "place", "tid"])
    let at = Nanoseconds(try fields.required("atNs", upTo: .max))
    let origin = try origin(fields, "tid", "place")
    let earliest = life.changes.last.map { ($0.at, $0.origin.place) } ?? life.begin
    guard (at, origin.place) >= earliest, life.end.map({ (at, origin.place) <= $0 }) ?? true else {
      throw fields.failure("atNs", "is outside the slot's life, or not after the change before")
    }
    let flags = try fields.required("flags", upTo: Self.flagsMax)
    return .init(at: at, flags: MemslotFlags(rawValue: UInt32(flags)), origin: origin)
  }

  /// Who made a change, and where among the events of its moment.
  private func origin(
    _ fields: Fields, _ thread: String, _ place: String
  ) throws(Failure) -> MemslotHistory.ChangeOrigin {
    .init(
      thread: try fields.number(thread, upTo: Self.tidMax).map { ThreadID(Int32($0)) },
      place: Int(try fields.number(place, upTo: UInt64(Int32.max)) ?? 0))
  }

  /// The kernel has no two slots on one frame at a time (`-EEXIST`), nor two of one number, nor more than there are numbers.
  private func checkOverlaps(_ vm: MemslotHistory.VM, _ fields: [Fields]) throws(Failure) {
    if let (one, other) = SlotConflict.ofFrames(vm.slots) {
      throw fields[max(one, other)].failure("gfn", "the slot overlaps slots[\(min(one, other))]")
    }
    if let (one, other) = SlotConflict.ofNumbers(vm.slots) {
      throw fields[max(one, other)].failure("id", "is the number of slots[\(min(one, other))], too")
    }
    if let one = SlotConflict.firstBeyond(SlotConflict.slotsMax, vm.slots) {
      throw fields[one].failure(
        "fromNs", "the VM has \(SlotConflict.slotsMax) slots at that time already, and no kernel has more")
    }
  }

  private func checkThreads(_ history: MemslotHistory) throws(Failure) {
    var owners: [ThreadID: Int] = [:]
    for (index, vm) in history.vms.enumerated() where vm.to == nil {
      for tid in vm.tids ?? [] {
        if let other = owners[tid], other != index {
          throw Failure(
            description: "vms[\(index)].tids: \(tid.rawValue) runs a vCPU of vms[\(other)], too",
            field: "vms[\(index)].tids")
        }
        owners[tid] = index
      }
    }
  }
}

extension MemslotHistory.Slot {
  /// When it begins, and behind how many other events of that moment.
  var begin: (Nanoseconds, Int) { (from ?? Nanoseconds(0), from == nil ? 0 : fromOrigin.place) }

  /// When it ends, likewise; nil for one that stays.
  var end: (Nanoseconds, Int)? { to.map { ($0, toOrigin.place) } }
}

internal import KVMTrace
internal import KVMTypes
public import Stage2Replay

/// Memslots in JSON: what `info --memslots` writes and `replay --memslots` reads.
///
///     {"version": 1, "vms": [{"slots": [{"id": 0, "gfn": 262144, "pages": 49152, "hva": "0xffff6c000000", "flags": 0}]}]}
public enum MemslotFile {
  /// The version of the layout.
  public static let version = 1

  /// Why a file holds no memslots, in words that follow the file's name.
  public struct Failure: Error, CustomStringConvertible {
    /// The field and what is wrong with it.
    public var description: String
    /// Where it stands, such as `vms[0].slots[2].pages`; nil where it is the whole file.
    public var field: String?
  }

  /// The memslots in `text`, for a host with pages of `pageBytes`.
  public static func history(json text: String, pageBytes: Int) throws(Failure) -> MemslotHistory {
    try MemslotFileReader(pageBytes: UInt64(pageBytes)).history(text)
  }

  /// `history` as such a file, written by `tool`.
  public static func json(_ history: MemslotHistory, by tool: ToolIdentity) -> String {
    JSON.text(
      Root(
        version: version, recording: history.origin.map(OriginEntry.init), vms: history.vms.map(VMEntry.init)),
      by: tool)
  }

  private struct Root: Encodable {
    var version: Int
    var recording: OriginEntry?
    var vms: [VMEntry]
  }

  private struct OriginEntry: Encodable {
    var path: String
    var firstNs: UInt64?
    var lastNs: UInt64?
    var events: UInt64

    init(_ origin: MemslotHistory.Origin) {
      path = origin.path
      (firstNs, lastNs, events) = (origin.first?.rawValue, origin.last?.rawValue, origin.events)
    }
  }

  private struct VMEntry: Encodable {
    var creator: Int32?
    var kvm: String?
    var tids: [Int32]?
    var toNs: UInt64?
    var partial: Bool?
    var slots: [SlotEntry]

    init(_ vm: MemslotHistory.VM) {
      creator = vm.creator?.rawValue
      kvm = vm.kvm.map { hexadecimal($0.rawValue) }
      tids = vm.tids?.map(\.rawValue)
      toNs = vm.to?.rawValue
      partial = vm.isPartial ? true : nil
      slots = vm.slots.map(SlotEntry.init)
    }
  }

  private struct SlotEntry: Encodable {
    var id: Int16?
    var gfn: UInt64
    var pages: UInt64
    var hva: String?
    var flags: UInt32
    var fromNs: UInt64?
    var fromPlace: Int?
    var fromTid: Int32?
    var toNs: UInt64?
    var toPlace: Int?
    var toTid: Int32?
    var changes: [ChangeEntry]?
    var basis: String
    var support: Int?
    var contradictions: Int?
    var confidence: Double?
    var offsetBasis: String?

    init(_ life: MemslotHistory.Slot) {
      id = life.slot.id
      gfn = life.slot.base.rawValue
      pages = life.slot.pages
      hva = life.slot.hva.map { hexadecimal($0.rawValue) }
      flags = life.slot.flags.rawValue
      fromNs = life.from?.rawValue
      (fromPlace, fromTid) = (life.fromOrigin.told, life.fromOrigin.thread?.rawValue)
      toNs = life.to?.rawValue
      (toPlace, toTid) = (life.toOrigin.told, life.toOrigin.thread?.rawValue)
      changes = life.changes.isEmpty ? nil : life.changes.map(ChangeEntry.init)
      basis = life.slot.basis.name
      support = life.evidence?.support
      contradictions = life.evidence?.contradictions
      confidence = life.evidence?.roundedConfidence
      offsetBasis = life.slot.hva == nil ? nil : life.evidence?.offsetBasis.name
    }
  }

  private struct ChangeEntry: Encodable {
    var atNs: UInt64
    var flags: UInt32
    var place: Int?
    var tid: Int32?

    init(_ change: MemslotHistory.FlagsChange) {
      atNs = change.at.rawValue
      flags = change.flags.rawValue
      (place, tid) = (change.origin.told, change.origin.thread?.rawValue)
    }
  }

  private static func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

extension MemslotHistory.ChangeOrigin {
  /// The place where it is not the first of its moment.
  fileprivate var told: Int? { place == 0 ? nil : place }
}

extension SlotEvidence {
  /// The confidence with four digits: more would pretend to a precision that counting pairs does not have.
  var roundedConfidence: Double { (confidence * 10_000).rounded() / 10_000 }
}

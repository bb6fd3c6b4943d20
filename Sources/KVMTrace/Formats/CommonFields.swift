/// The fields that every record of a trace begins with, where most of its formats place them: each states them anew, and one that is
/// damaged must not decide for all.
struct CommonFields {
  /// Where and how wide the event's number is in every record.
  let type: ScalarLoad
  /// Where in bytes that is.
  let typePlace: (offset: Int, size: Int)
  /// Where the thread is recorded, nil in traces of the hypervisor, which record none.
  let pid: ScalarLoad?
  /// The names of all of them.
  let names: Set<String>
  /// The texts that place the number or the thread elsewhere, by their position.
  let contradicting: [Int]

  /// A field of one format.
  private struct Place: Hashable {
    var offset: Int
    var size: Int
    var isSigned: Bool

    init?(_ name: String, _ fields: [EventFormat.Field]) {
      guard let field = fields.last(where: { $0.name == name && $0.isScalar }) else { return nil }
      (offset, size, isSigned) = (field.offset, field.size, field.isSigned)
    }

    func load(bigEndian: Bool) -> ScalarLoad {
      ScalarLoad(offset: offset, size: size, isSigned: isSigned, bigEndian: bigEndian)
    }
  }

  /// What the formats of a trace say, until all have been read.
  struct Survey {
    private var names: Set<String> = []
    private var types: [(position: Int, place: Place)] = []
    private var pids: [(position: Int, place: Place)] = []

    /// Takes in the common fields of the format at `position`.
    mutating func note(_ fields: [EventFormat.Field], at position: Int) {
      names.formUnion(fields.lazy.map(\.name))
      if let place = Place("common_type", fields) { types.append((position, place)) }
      if let place = Place("common_pid", fields) { pids.append((position, place)) }
    }

    /// What most of them say.
    func settled(bigEndian: Bool) -> CommonFields {
      let (type, pid) = (Self.most(types), Self.most(pids))
      let others =
        types.filter { $0.place != type }.map(\.position) + pids.filter { $0.place != pid }.map(\.position)
      return CommonFields(
        type: type?.load(bigEndian: bigEndian)
          ?? ScalarLoad(offset: 0, size: 2, isSigned: false, bigEndian: bigEndian),
        typePlace: type.map { ($0.offset, $0.size) } ?? (0, 2), pid: pid?.load(bigEndian: bigEndian),
        names: names, contradicting: Set(others).sorted())
    }

    /// The place that most name; of several that equally many do, the one that comes first.
    private static func most(_ named: [(position: Int, place: Place)]) -> Place? {
      let counts = Dictionary(named.lazy.map { ($0.place, 1) }, uniquingKeysWith: +)
      let most = counts.values.max()
      return named.first { counts[$0.place] == most }?.place
    }
  }
}

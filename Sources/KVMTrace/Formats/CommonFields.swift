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
  /// The texts that place one of them elsewhere, by their position.
  let contradicting: [Int]
  /// By the names that a format has, where those end that most formats place there.
  private let ends: [String: Int]

  /// Where the fields end that a format begins with.
  func end(of fields: [EventFormat.Field]) -> Int { fields.lazy.compactMap { ends[$0.name] }.max() ?? 0 }

  /// A field of one format.
  private struct Place: Hashable {
    var offset: Int
    var size: Int
    var isSigned: Bool
    var isScalar: Bool

    init(_ field: EventFormat.Field) {
      (offset, size, isSigned, isScalar) = (field.offset, field.size, field.isSigned, field.isScalar)
    }

    func load(bigEndian: Bool) -> ScalarLoad {
      ScalarLoad(offset: offset, size: size, isSigned: isSigned, bigEndian: bigEndian)
    }
  }

  /// What the formats of a trace say, until all have been read.
  struct Survey {
    /// What formats begin with, and which do, by their positions: nearly always all do with the same.
    private var variants: [(fields: [EventFormat.Field], positions: [Int])] = []
    private var known: [[EventFormat.Field]: Int] = [:]

    /// Takes in the common fields of the format at `position`.
    mutating func note(_ fields: [EventFormat.Field], at position: Int) {
      if let index = known[fields] { return variants[index].positions.append(position) }
      known[fields] = variants.count
      variants.append((fields, [position]))
    }

    /// What most of them say.
    func settled(bigEndian: Bool) -> CommonFields {
      var counts: [String: [Place: Int]] = [:]
      for (fields, positions) in variants {
        for field in fields { counts[field.name, default: [:]][Place(field), default: 0] += positions.count }
      }
      // Of several places that equally many name, the one counts that comes first.
      var places: [String: Place] = [:]
      for (fields, _) in variants {
        for field in fields {
          let before = places[field.name].flatMap { counts[field.name]?[$0] } ?? 0
          if let own = counts[field.name]?[Place(field)], own > before { places[field.name] = Place(field) }
        }
      }
      let others = variants.filter { $0.fields.contains { places[$0.name] != Place($0) } }
      let type = places["common_type"].flatMap { $0.isScalar ? $0 : nil }
      let pid = places["common_pid"].flatMap { $0.isScalar ? $0 : nil }
      return CommonFields(
        type: type?.load(bigEndian: bigEndian)
          ?? ScalarLoad(offset: 0, size: 2, isSigned: false, bigEndian: bigEndian),
        typePlace: type.map { ($0.offset, $0.size) } ?? (0, 2), pid: pid?.load(bigEndian: bigEndian),
        names: Set(places.keys), contradicting: others.flatMap(\.positions).sorted(),
        ends: places.mapValues { $0.offset + $0.size })
    }
  }
}

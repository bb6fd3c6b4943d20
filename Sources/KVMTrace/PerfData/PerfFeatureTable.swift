/// The table of what stands behind the records of a perf.data: a section (u64 offset, u64 size) for each feature, in the order of their
/// bits. Sections follow in the same order, the formats of events first, if they are there.
struct PerfFeatureTable {
  private static let sectionBytes = 16
  private static let bitCount = 256

  private let file: FileBytes
  private let bigEndian: Bool
  private let features: [Int]
  /// Where it begins.
  let place: Int
  /// How far before the places that it names its sections stand.
  let shift: Int

  /// The table for the features of `bits`, as it lies at `place` of the file.
  init(_ file: FileBytes, bigEndian: Bool, bits: [UInt64], place: Int) {
    let features = (0..<min(Self.bitCount, 64 * bits.count)).filter {
      bits[$0 / 64] >> UInt64($0 % 64) & 1 != 0
    }
    self.init(file, bigEndian: bigEndian, features, place: place, shift: 0)
  }

  private init(_ file: FileBytes, bigEndian: Bool, _ features: [Int], place: Int, shift: Int) {
    (self.file, self.bigEndian, self.features) = (file, bigEndian, features)
    (self.place, self.shift) = (place, shift)
  }

  private var end: Int { place + Self.sectionBytes * features.count }

  /// The features and where they lie, up to where the table ends, or is damaged.
  func sections() -> (sections: [(feature: Int, bytes: Range<Int>)], damage: Damage?) {
    var reader = ByteReader(file, bigEndian: bigEndian, at: place)
    var sections: [(feature: Int, bytes: Range<Int>)] = []
    for feature in features {
      guard let named = try? reader.u64(), let size = try? reader.u64(), let claimed = Int(exactly: named),
        case let (offset, isOver) = claimed.subtractingReportingOverflow(shift), !isOver,
        (0...file.count).contains(offset), size <= UInt64(file.count - offset)
      else {
        let what = "the table of what stands behind the records ends, or is damaged"
        return (sections, Damage(offset: reader.offset, what: what))
      }
      sections.append((feature, offset..<(offset + Int(size))))
    }
    return (sections, nil)
  }

  /// The table where it really stands, of a file whose records do not end where it says; nil of any other. Nothing else begins as the
  /// formats of events do, which follow it.
  ///
  /// - Parameter records: where the records begin.
  func displaced(behind records: Int) -> PerfFeatureTable? {
    guard features.first == PerfMetadata.Feature.tracingData, !leadsToFormats,
      let formats = PerfMetadata.find(TraceDatOpener.magic, in: file, from: records)
    else { return nil }
    let begin = formats - (end - place)
    guard begin != place, begin >= records else { return nil }
    return PerfFeatureTable(file, bigEndian: bigEndian, features, place: begin, shift: place - begin)
  }

  /// Whether its first entry leads to the formats of events.
  private var leadsToFormats: Bool {
    var reader = ByteReader(file, bigEndian: bigEndian, at: place)
    let magic = TraceDatOpener.magic
    guard let offset = try? reader.u64(), (try? reader.seek(to: offset)) != nil,
      let bytes = try? reader.slice(UInt64(magic.count))
    else { return false }
    return bytes.elementsEqual(magic)
  }
}

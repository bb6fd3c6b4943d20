internal import KVMTypes
internal import Pictures

/// The overview of a heat map as pictures on top of each other, one for each thing that can happen, and as numbers for the script.
struct HeatLayers {
  /// One thing that can happen, or that is so.
  enum Layer: String, CaseIterable {
    case mapped, faults, maps, ages, unmaps, assumed

    /// What the page calls it.
    var name: String {
      switch self {
      case .mapped: "mapped pages and blocks"
      case .faults: "faults"
      case .maps: "mapped, relaxed, made young"
      case .ages: "aged, or age tested"
      case .unmaps: "unmapped, write-protected, split"
      case .assumed: "operations whose basis is assumed"
      }
    }

    /// Its colour, of those that people tell apart whose eyes lack a kind of cone.
    var rgb: UInt32 {
      switch self {
      case .mapped: 0x56_b4e9
      case .faults: 0xd5_5e00
      case .maps: 0x00_9e73
      case .ages: 0xe6_9f00
      case .unmaps: 0xcc_79a7
      case .assumed: 0x80_8080
      }
    }

    /// Whether it is seen before somebody chooses.
    var isShown: Bool { self == .mapped || self == .faults || self == .ages || self == .unmaps }

    /// How much there is of it in a cell.
    func amount(_ cell: HeatMap.Cell) -> UInt32 {
      switch self {
      case .mapped: cell.mappedPages
      case .faults: cell.faults
      case .maps: cell.maps
      case .ages: cell.ages
      case .unmaps: cell.unmaps
      case .assumed: cell.assumed
      }
    }
  }

  /// The shades of a layer, from the faintest.
  private static let shades = 15
  private let map: HeatMap
  /// For each row of the pictures that of the map; nil for one between rows whose memory does not touch.
  let rows: [Int?]

  init(_ map: HeatMap) {
    self.map = map
    var rows: [Int?] = []
    for position in map.rows.indices {
      if position > 0, map.rows[position].base.rawValue - map.rows[position - 1].base.rawValue > map.rowBytes
      {
        rows.append(nil)
      }
      rows.append(position)
    }
    self.rows = rows
  }

  /// The picture of a layer, nil where there is nothing of it.
  func picture(_ layer: Layer) -> PalettePNG? {
    var picture = PalettePNG(
      width: map.columns, height: rows.count,
      palette: [PalettePNG.Color(rgb: layer.rgb, alpha: 0)]
        + (1...Self.shades).map { shade in
          // What is mapped lies under all else, and is never as strong.
          let alpha = layer == .mapped ? 15 + 5 * shade : 120 + 9 * shade
          return PalettePNG.Color(rgb: layer.rgb, alpha: UInt8(alpha))
        })
    var most: UInt32 = 1
    for row in map.rows { for cell in row.cells { most = max(most, layer.amount(cell)) } }
    if layer == .mapped { most = UInt32(clamping: map.rowBytes >> map.pageSize.shift) }
    for (place, row) in rows.enumerated() {
      guard let row else { continue }
      for (column, cell) in map.rows[row].cells.enumerated() {
        picture[column, place] = Self.shade(layer.amount(cell), most, isLinear: layer == .mapped)
      }
    }
    return picture.isBlank ? nil : picture
  }

  /// How strong a cell is: of what happens by its number of binary digits, so that one fault is seen beside a thousand.
  static func shade(_ amount: UInt32, _ most: UInt32, isLinear: Bool) -> UInt8 {
    guard amount > 0 else { return 0 }
    if isLinear { return UInt8(max(1, min(UInt64(shades), UInt64(amount) * UInt64(shades) / UInt64(most)))) }
    let digits = UInt32.bitWidth - amount.leadingZeroBitCount
    let all = UInt32.bitWidth - most.leadingZeroBitCount
    return UInt8(all > 1 ? 1 + (digits - 1) * (shades - 1) / (all - 1) : shades)
  }

  /// The cells, layer by layer: of what is mapped the change from the column before.
  var numbers: PackedNumbers {
    var numbers = PackedNumbers()
    for layer in Layer.allCases {
      for row in map.rows {
        var before = 0
        for cell in row.cells {
          let amount = layer.amount(cell)
          if layer == .mapped {
            numbers.append(signed: Int(amount) - before)
            before = Int(amount)
          } else {
            numbers.append(amount)
          }
        }
      }
    }
    return numbers
  }
}

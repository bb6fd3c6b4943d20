/// A picture of up to 16 colours, as a PNG of four bits a pixel.
struct PalettePNG {
  /// A colour; what is not opaque lets the page show through, so one picture suits a light page and a dark one.
  struct Color {
    var rgb: UInt32
    var alpha: UInt8
  }

  let width: Int
  let height: Int
  /// At most 16; the first is what nothing was drawn on.
  let palette: [Color]
  /// A byte for each pixel, by rows.
  private var pixels: [UInt8]

  /// A picture of the palette's first colour.
  init(width: Int, height: Int, palette: [Color]) {
    precondition(width > 0 && height > 0 && palette.count <= 16)
    (self.width, self.height, self.palette) = (width, height, palette)
    pixels = Array(repeating: 0, count: width * height)
  }

  /// The number of the colour of a pixel.
  subscript(column: Int, row: Int) -> UInt8 {
    get { pixels[row * width + column] }
    set { pixels[row * width + column] = newValue }
  }

  /// Whether nothing was drawn.
  var isBlank: Bool { pixels.allSatisfy { $0 == 0 } }

  /// The file.
  var bytes: [UInt8] {
    var file: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    // 4 bits, a palette, the only method of compression, the only one of filters, no interlacing.
    Self.append("IHDR", Self.bigEndian(width) + Self.bigEndian(height) + [4, 3, 0, 0, 0], to: &file)
    Self.append(
      "PLTE", palette.flatMap { [UInt8($0.rgb >> 16 & 255), UInt8($0.rgb >> 8 & 255), UInt8($0.rgb & 255)] },
      to: &file)
    Self.append("tRNS", palette.map(\.alpha), to: &file)
    Self.append("IDAT", Deflate.zlib(rows), to: &file)
    Self.append("IEND", [], to: &file)
    return file
  }

  /// The address of an image that a page holds itself.
  var address: String { "data:image/png;base64," + Base64.text(bytes) }

  /// The pixels, each row behind the number of its filter: none.
  private var rows: [UInt8] {
    var rows: [UInt8] = []
    rows.reserveCapacity(height * (1 + (width + 1) / 2))
    for row in 0..<height {
      rows.append(0)
      for column in stride(from: 0, to: width, by: 2) {
        let right = column + 1 < width ? self[column + 1, row] : 0
        rows.append(self[column, row] << 4 | right)
      }
    }
    return rows
  }

  private static func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private static func append(_ kind: StaticString, _ content: [UInt8], to file: inout [UInt8]) {
    let named = Array("\(kind)".utf8) + content
    file += bigEndian(content.count) + named + bigEndian(Int(Deflate.checkSum(named)))
  }
}

internal import CTraceEvent
internal import Glibc

/// The lengths, counts and indices that one print format takes from its event, held against the event's data before
/// libtraceevent prints it.
///
/// `__print_hex(REC->buf, REC->len)` makes libtraceevent read as many bytes as the event says, wherever they lie. So
/// the expression of every length is taken out of the parsed print format, evaluated here, cut to what the array
/// has, and put back as a number. An index cannot be cut: an event that has one outside its array is not printed by
/// its print format, nor is one whose lengths cannot be evaluated.
///
/// Invariant: the print format holds our own nodes in place of its length expressions until deinit, which puts
/// the expressions back; the handle of libtraceevent must live that long.
final class PrintLengths {
  /// What an event asked for, and what it got.
  struct Cut {
    var asked: Int
    var given: Int
  }

  private typealias Argument = UnsafeMutablePointer<tep_print_arg>
  private typealias Field = UnsafeMutablePointer<tep_format_field>

  /// A length in a print format: of which array, and how it is computed.
  private struct Site {
    var owner: Argument
    var array: Argument
    var length: Argument
    var elementSize: Argument?
    var number: Argument
  }

  private struct Unbounded: Error {}

  private static let digitsMax = 24
  private static let depthMax = 200

  private let event: UnsafeMutablePointer<tep_event>
  private var sites: [Site] = []
  private var indexed: [Argument] = []
  private var strings: [Field] = []
  private var fields: [Field] = []

  /// Takes the lengths out of the print format of `event`; nil where one is of a kind that cannot be bounded.
  init?(_ event: UnsafeMutablePointer<tep_event>) {
    self.event = event
    var next = event.pointee.format.fields
    while let field = next {
      fields.append(field)
      next = field.pointee.next
    }
    do {
      var argument = event.pointee.print_fmt.args
      while let current = argument {
        try visit(current, depth: 0)
        argument = current.pointee.next
      }
    } catch {
      return nil
    }
    for site in sites { setLength(of: site.owner, to: site.number) }
  }

  deinit {
    for site in sites {
      setLength(of: site.owner, to: site.length)
      free(site.number.pointee.atom.atom)
      free(site.number)
    }
  }

  /// Sets every length to what `payload` allows; the lengths that were cut. Nil where libtraceevent must not print this
  /// event: a field lies outside its data, a text has no end, an index is outside its array.
  func bound(to payload: UnsafeRawBufferPointer) -> [Cut]? {
    guard fields.allSatisfy({ isInside($0, payload) }), strings.allSatisfy({ isTerminated($0, payload) })
    else {
      return nil
    }
    do {
      for argument in indexed { try checkIndex(argument, payload) }
      var cuts: [Cut] = []
      for site in sites {
        var size = 1
        if let elementSize = site.elementSize { size = Int(clamping: try value(elementSize, payload)) }
        guard [1, 2, 4, 8].contains(size) else { return nil }
        // libtraceevent computes in 64 bits and counts in an int.
        let asked = Int(Int32(truncatingIfNeeded: try value(site.length, payload)))
        let given = max(0, min(asked, try extent(of: site.array, payload).count / size))
        if given < asked { cuts.append(Cut(asked: asked, given: given)) }
        write(given, into: site.number.pointee.atom.atom)
      }
      return cuts
    } catch {
      return nil
    }
  }

  // MARK: The print format

  private func visit(_ argument: Argument, depth: Int) throws {
    guard depth < Self.depthMax else { throw Unbounded() }
    func visit(_ child: Argument?) throws {
      guard let child else { throw Unbounded() }
      try self.visit(child, depth: depth + 1)
    }
    switch argument.pointee.type {
    case TEP_PRINT_FLAGS: try visit(argument.pointee.flags.field)
    case TEP_PRINT_SYMBOL: try visit(argument.pointee.symbol.field)
    case TEP_PRINT_TYPE: try visit(argument.pointee.typecast.item)
    case TEP_PRINT_FUNC: throw Unbounded()
    case TEP_PRINT_HEX, TEP_PRINT_HEX_STR:
      let hex = argument.pointee.hex
      try addSite(argument, array: hex.field, length: hex.size, elementSize: nil)
    case TEP_PRINT_INT_ARRAY:
      let array = argument.pointee.int_array
      try addSite(argument, array: array.field, length: array.count, elementSize: array.el_size)
    case TEP_PRINT_STRING:
      let name = argument.pointee.string.string
      guard let field = argument.pointee.string.field ?? tep_find_any_field(event, name) else {
        throw Unbounded()
      }
      strings.append(field)
    case TEP_PRINT_OP:
      let isIndex = String(cString: argument.pointee.op.op) == "["
      if isIndex { indexed.append(argument) }
      if argument.pointee.op.left != nil { try visit(argument.pointee.op.left) }
      try visit(argument.pointee.op.right)
    default: break
    }
  }

  private func addSite(
    _ owner: Argument, array: Argument?, length: Argument?, elementSize: Argument?
  ) throws {
    // Of another kind of array libtraceevent would take a wrong member of a union for the field.
    guard let array, let length, array.pointee.type == TEP_PRINT_DYNAMIC_ARRAY || field(array) != nil else {
      throw Unbounded()
    }
    let number = calloc(1, MemoryLayout<tep_print_arg>.size).bindMemory(to: tep_print_arg.self, capacity: 1)
    number.pointee.type = TEP_PRINT_ATOM
    number.pointee.atom.atom = calloc(1, Self.digitsMax).assumingMemoryBound(to: CChar.self)
    write(0, into: number.pointee.atom.atom)
    sites.append(
      Site(owner: owner, array: array, length: length, elementSize: elementSize, number: number))
  }

  private func setLength(of owner: Argument, to length: Argument) {
    if owner.pointee.type == TEP_PRINT_INT_ARRAY {
      owner.pointee.int_array.count = length
    } else {
      owner.pointee.hex.size = length
    }
  }

  private func write(_ value: Int, into text: UnsafeMutablePointer<CChar>) {
    var position = 0
    for byte in String(value).utf8.prefix(Self.digitsMax - 1) {
      text[position] = CChar(bitPattern: byte)
      position += 1
    }
    text[position] = 0
  }

  /// The field that an argument names, nil where it is no field of the event.
  private func field(_ argument: Argument) -> Field? {
    guard argument.pointee.type == TEP_PRINT_FIELD else { return nil }
    return argument.pointee.field.field ?? tep_find_any_field(event, argument.pointee.field.name)
  }

  // MARK: The event

  private func has(_ field: Field, _ flag: tep_format_flags) -> Bool {
    field.pointee.flags & UInt(flag.rawValue) != 0
  }

  /// Where a dynamic field's content lies, nil where it is not in the data.
  private func location(_ field: Field, _ payload: UnsafeRawBufferPointer) -> Range<Int>? {
    let place = Int(field.pointee.offset)
    guard field.pointee.size == 4, place >= 0, place + 4 <= payload.count else { return nil }
    let word = Int(tep_read_number(event.pointee.tep, payload.baseAddress! + place, 4))
    let begin = (word & 0xffff) + (has(field, TEP_FIELD_IS_RELATIVE) ? place + 4 : 0)
    let end = begin + (word >> 16)
    return end <= payload.count ? begin..<end : nil
  }

  private func isInside(_ field: Field, _ payload: UnsafeRawBufferPointer) -> Bool {
    if has(field, TEP_FIELD_IS_DYNAMIC) { return location(field, payload) != nil }
    return field.pointee.offset >= 0 && field.pointee.size >= 0
      && Int(field.pointee.offset) + Int(field.pointee.size) <= payload.count
  }

  /// Whether the text in a dynamic field has its NUL there; libtraceevent would print on behind it.
  private func isTerminated(_ field: Field, _ payload: UnsafeRawBufferPointer) -> Bool {
    guard has(field, TEP_FIELD_IS_DYNAMIC) else { return true }
    guard let place = location(field, payload) else { return false }
    return place.isEmpty || payload[place].contains(0)
  }

  /// Where an array lies in the data.
  private func extent(of array: Argument, _ payload: UnsafeRawBufferPointer) throws -> Range<Int> {
    if array.pointee.type == TEP_PRINT_DYNAMIC_ARRAY {
      guard let field = array.pointee.dynarray.field, let place = location(field, payload) else {
        throw Unbounded()
      }
      return place
    }
    guard let field = field(array), !has(field, TEP_FIELD_IS_DYNAMIC), isInside(field, payload) else {
      throw Unbounded()
    }
    let begin = Int(field.pointee.offset)
    // An array without a size reaches to the end of the event.
    return begin..<(field.pointee.size == 0 ? payload.count : begin + Int(field.pointee.size))
  }

  private func checkIndex(_ argument: Argument, _ payload: UnsafeRawBufferPointer) throws {
    guard var array = argument.pointee.op.left, let right = argument.pointee.op.right else {
      throw Unbounded()
    }
    while array.pointee.type == TEP_PRINT_TYPE {
      guard let item = array.pointee.typecast.item else { throw Unbounded() }
      array = item
    }
    let place = try extent(of: array, payload)
    let source = array.pointee.type == TEP_PRINT_DYNAMIC_ARRAY ? array.pointee.dynarray.field : field(array)
    let size = max(1, Int(source?.pointee.elementsize ?? 0))
    let index = try value(right, payload)
    guard index < UInt64(place.count / size) else { throw Unbounded() }
  }

  // MARK: Expressions

  /// The value of an expression as libtraceevent computes it, in 64 bits.
  private func value(_ argument: Argument, _ payload: UnsafeRawBufferPointer) throws -> UInt64 {
    switch argument.pointee.type {
    case TEP_PRINT_ATOM: return UInt64(strtoull(argument.pointee.atom.atom, nil, 0))
    case TEP_PRINT_FIELD:
      guard let field = field(argument), isInside(field, payload),
        [1, 2, 4, 8].contains(field.pointee.size)
      else { throw Unbounded() }
      return tep_read_number(
        event.pointee.tep, payload.baseAddress! + Int(field.pointee.offset), field.pointee.size)
    case TEP_PRINT_DYNAMIC_ARRAY_LEN:
      guard let field = argument.pointee.dynarray.field, let place = location(field, payload) else {
        throw Unbounded()
      }
      return UInt64(place.count)
    case TEP_PRINT_TYPE:
      guard let item = argument.pointee.typecast.item else { throw Unbounded() }
      return Self.cast(try value(item, payload), to: String(cString: argument.pointee.typecast.type))
    case TEP_PRINT_OP: return try operation(argument, payload)
    default: throw Unbounded()
    }
  }

  private static func cast(_ value: UInt64, to type: String) -> UInt64 {
    switch type {
    case "u8", "__u8", "unsigned char", "char", "s8": value & 0xff
    case "u16", "__u16", "unsigned short", "short", "s16": value & 0xffff
    case "u32", "__u32", "unsigned int", "unsigned", "int", "s32": value & 0xffff_ffff
    default: value
    }
  }

  private func operation(_ argument: Argument, _ payload: UnsafeRawBufferPointer) throws -> UInt64 {
    let symbol = String(cString: argument.pointee.op.op)
    guard let right = argument.pointee.op.right else { throw Unbounded() }
    if symbol == "?" {
      guard let condition = argument.pointee.op.left, right.pointee.type == TEP_PRINT_OP,
        let yes = right.pointee.op.left, let no = right.pointee.op.right
      else { throw Unbounded() }
      return try value(value(condition, payload) != 0 ? yes : no, payload)
    }
    guard let left = argument.pointee.op.left, left.pointee.type != TEP_PRINT_NULL else {
      let operand = try value(right, payload)
      switch symbol {
      case "!": return operand == 0 ? 1 : 0
      case "~": return ~operand
      case "-": return 0 &- operand
      case "+": return operand
      default: throw Unbounded()
      }
    }
    return try Self.compute(value(left, payload), symbol, value(right, payload))
  }

  private static func compute(_ left: UInt64, _ symbol: String, _ right: UInt64) throws -> UInt64 {
    switch symbol {
    case "+": return left &+ right
    case "-": return left &- right
    case "*": return left &* right
    case "/" where right != 0: return left / right
    case "%" where right != 0: return left % right
    case "<<": return right < 64 ? left << right : 0
    case ">>": return right < 64 ? left >> right : 0
    case "&": return left & right
    case "|": return left | right
    case "^": return left ^ right
    case "&&": return left != 0 && right != 0 ? 1 : 0
    case "||": return left != 0 || right != 0 ? 1 : 0
    case "==": return left == right ? 1 : 0
    case "!=": return left != right ? 1 : 0
    case "<": return left < right ? 1 : 0
    case ">": return left > right ? 1 : 0
    case "<=": return left <= right ? 1 : 0
    case ">=": return left >= right ? 1 : 0
    default: throw Unbounded()
    }
  }
}

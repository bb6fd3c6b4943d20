internal import CTraceEvent

/// libtraceevent's parser of formats, for those that have arrays or texts.
///
/// Invariant: `handle` is one of libtraceevent, nil until it is needed, and lives until deinit.
final class FormatParser {
  private let bigEndian: Bool
  private let kernelLongSize: Int
  private var handle: OpaquePointer?

  init(bigEndian: Bool, kernelLongSize: Int) {
    (self.bigEndian, self.kernelLongSize) = (bigEndian, kernelLongSize)
  }

  deinit { if let handle { tep_free(handle) } }

  /// The fields of `source`, nil where they cannot be read.
  func fields(of source: FormatSource) -> FormatFields? {
    guard source.areFieldsReadable else { return nil }
    let tep = handle ?? EventFormats.handle(bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    handle = tep
    var event: UnsafeMutablePointer<tep_event>?
    let status = source.textWithoutPrintFormat.withUnsafeBufferPointer { utf8 in
      utf8.withMemoryRebound(to: CChar.self) {
        tep_parse_format(tep, &event, $0.baseAddress, UInt($0.count), source.system)
      }
    }
    // The event belongs to the handle.
    guard status.rawValue == 0, let format = event?.pointee.format else { return nil }
    return FormatFields(common: Self.fields(format.common_fields), own: Self.fields(format.fields))
  }

  private static func fields(_ first: UnsafeMutablePointer<tep_format_field>?) -> [EventFormat.Field] {
    var fields: [EventFormat.Field] = []
    var next = first
    while let field = next?.pointee {
      let flags = field.flags
      func has(_ flag: tep_format_flags) -> Bool { flags & UInt(flag.rawValue) != 0 }
      let composite = has(TEP_FIELD_IS_ARRAY) || has(TEP_FIELD_IS_STRING) || has(TEP_FIELD_IS_DYNAMIC)
      fields.append(
        EventFormat.Field(
          name: String(cString: field.name), offset: Int(field.offset), size: Int(field.size),
          isSigned: has(TEP_FIELD_IS_SIGNED),
          isScalar: !composite && [1, 2, 4, 8].contains(field.size) && field.offset >= 0,
          isPointer: has(TEP_FIELD_IS_POINTER),
          isThread: field.type.map { FieldDeclaration.isThread(type: String(cString: $0)) } ?? false,
          isString: has(TEP_FIELD_IS_STRING),
          isDynamic: has(TEP_FIELD_IS_DYNAMIC),
          isRelative: has(TEP_FIELD_IS_RELATIVE)))
      next = field.next
    }
    return fields
  }
}

/// The JSON Schema (draft 2020-12) of one kind of JSON that the program writes or reads.
public struct JSONSchema: Sendable {
  /// What it is called: the verb, or the kind of file.
  public let name: String
  /// The schema as JSON text that ends with a newline.
  public let text: String

  /// All of them, in the order of their names.
  public static let all: [JSONSchema] = embeddedSchemas.map { JSONSchema(name: $0.name, text: $0.text) }

  /// What it describes, in one sentence: the schema's own description.
  var summary: String {
    guard case .object(let schema)? = try? JSONValue(text), case .string(let text)? = schema["description"]
    else { preconditionFailure("the schema \(name) does not say what it describes") }
    return text
  }

  /// All of them as a page of text.
  public static func list(in form: PageForm = .filed) -> String {
    var page = TextPage(form, elsewhere: nil)
    page.table(
      header: ["schema", "describes"], alignRight: [false, false], rows: all.map { [$0.name, $0.summary] })
    return page.rendered
  }
}

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--serial</c>.</summary>
/// <param name="Kind">Where the first serial port goes.</param>
/// <param name="Path">The file, if it goes to one.</param>
internal sealed record SerialTarget(SerialTargetKind Kind, string? Path = null)
{
    private const string FilePrefix = "file=";

    /// <summary>Nothing was said.</summary>
    public static SerialTarget Default { get; } = new(SerialTargetKind.Default);

    /// <summary>Parses the value.</summary>
    /// <exception cref="LaminaException">It is none of the accepted ones.</exception>
    public static SerialTarget Parse(string? text)
    {
        switch (text)
        {
            case null:
                return Default;
            case "stdio":
                return new SerialTarget(SerialTargetKind.StandardStreams);
            case "null":
                return new SerialTarget(SerialTargetKind.Null);
            case "file" or FilePrefix:
                throw new LaminaException($"--serial '{text}' names no file. Write file=PATH.");
        }

        return text.StartsWith(FilePrefix, StringComparison.Ordinal)
            ? new SerialTarget(SerialTargetKind.File, text[FilePrefix.Length..])
            : throw new LaminaException($"--serial '{text}' is not known. Accepted: stdio, null, file=PATH.{Suggestion.For(text, ["stdio", "null", "file=PATH"])}");
    }
}

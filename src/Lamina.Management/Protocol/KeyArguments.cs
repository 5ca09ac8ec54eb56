namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Key"/>: one of the two.</summary>
public sealed record KeyArguments
{
    /// <summary>Characters that are typed on an American keyboard; a line feed is its key Enter. At most 4096.</summary>
    public string? Text { get; set; }

    /// <summary>Keys that are held at once, such as "ctrl+alt+delete".</summary>
    public string? Keys { get; set; }
}

namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Resize"/>, each 1 to 65535.</summary>
public sealed record SizeArguments
{
    /// <summary>Columns of the window.</summary>
    public int Columns { get; set; }

    /// <summary>Rows of the window.</summary>
    public int Rows { get; set; }
}

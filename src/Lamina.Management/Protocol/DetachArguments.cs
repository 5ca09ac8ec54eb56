namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Detach"/>.</summary>
public sealed record DetachArguments
{
    /// <summary>The device's name.</summary>
    public string Device { get; set; } = "";

    /// <summary>Seconds that the guest has to give it up, 0 to 86400.</summary>
    public double TimeoutSeconds { get; set; } = 10;
}

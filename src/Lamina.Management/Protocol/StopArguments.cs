namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Stop"/>.</summary>
public sealed record StopArguments
{
    /// <summary>Seconds that the guest has to switch itself off, 0 to 86400.</summary>
    public double TimeoutSeconds { get; set; } = 30;

    /// <summary>Whether the machine is ended at once when that time is over; otherwise it goes on, and the request is refused.</summary>
    public bool Force { get; set; } = true;
}

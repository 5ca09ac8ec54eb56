namespace Lamina.Management.Protocol;

/// <summary>What <see cref="ControlVerbs.Stop"/> gives.</summary>
public sealed record StopResult
{
    /// <summary>Whether the guest did not switch itself off in time, and the machine was ended.</summary>
    public bool Forced { get; set; }
}

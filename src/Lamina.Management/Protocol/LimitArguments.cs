namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Limit"/>: all limits that the device has from then on.</summary>
public sealed record LimitArguments
{
    /// <summary>The device's name.</summary>
    public string Device { get; set; } = "";

    /// <summary>The limits; needed.</summary>
    public DeviceLimits? Limits { get; set; }
}

namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Resume"/>.</summary>
public sealed record ResumeArguments
{
    /// <summary>The accelerator to go on under ("kvm", "translator", "interpreter", "auto"); null for the present one.</summary>
    public string? Accelerator { get; set; }
}

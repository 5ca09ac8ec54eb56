namespace Lamina.Vmm;

/// <summary>What happens when the guest resets its machine.</summary>
public enum RebootAction
{
    /// <summary>The machine boots again.</summary>
    Restart,

    /// <summary>The machine ends, with <see cref="MachineOutcome.Rebooted"/>.</summary>
    Exit,
}

namespace Lamina.Kvm;

/// <summary>Which interrupt controllers KVM has.</summary>
public enum KvmControllers
{
    /// <summary>Whatever works best with this host's KVM.</summary>
    Auto,

    /// <summary>None: all are the machine's.</summary>
    Off,

    /// <summary>The local APICs.</summary>
    Split,

    /// <summary>The local APICs, the I/O APIC, the 8259 pair and the PIT.</summary>
    On,
}

namespace Lamina.Verify;

/// <summary>Where this host's processor executes cases.</summary>
internal enum Oracle
{
    /// <summary>In the process that compares.</summary>
    Native,

    /// <summary>In a virtual machine of KVM.</summary>
    Kvm,
}

namespace Lamina.Kvm.Tests;

internal static class TestOptions
{
    /// <summary>For machines whose local APIC is a test's.</summary>
    public static KvmOptions NoControllers { get; } = new() { Controllers = KvmControllers.Off };
}

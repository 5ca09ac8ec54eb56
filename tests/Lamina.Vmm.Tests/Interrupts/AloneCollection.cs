namespace Lamina.Vmm.Tests.Interrupts;

/// <summary>Tests that count what the process has open: no others run beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneCollection
{
    public const string Name = "alone";
}

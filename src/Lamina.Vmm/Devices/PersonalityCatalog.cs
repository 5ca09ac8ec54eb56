using Lamina.Machine.Processors;
using Lamina.Personalities;
using Lamina.Personalities.Kvm;
using Lamina.Vmm.Processors;

namespace Lamina.Vmm.Devices;

/// <summary>The personalities by kind.</summary>
internal static class PersonalityCatalog
{
    /// <summary>Makes one.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="settings">The machine.</param>
    /// <param name="stolen">Tells of stolen time.</param>
    /// <param name="accelerators">What the machine may run under.</param>
    /// <exception cref="MachineConfigurationException">An accelerator does not carry it.</exception>
    internal static KvmPersonality Create(PersonalityKind kind, PersonalitySettings settings, StolenTime stolen, IReadOnlyList<IAccelerator> accelerators)
    {
        bool served = accelerators.All(static a => a.CarriesPersonalities);
        return kind switch
        {
            _ => new KvmPersonality(settings, stolen, served),
        };
    }
}

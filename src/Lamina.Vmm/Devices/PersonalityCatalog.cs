using Lamina.Machine.Backends;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Personalities;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.Kvm;
using Lamina.Personalities.VMware;
using Lamina.Personalities.Xen;
using Lamina.Vmm.Processors;

namespace Lamina.Vmm.Devices;

/// <summary>The personalities by kind.</summary>
internal static class PersonalityCatalog
{
    /// <summary>Whether accelerators bring what guests ask of the hypervisor to the personality. KVM keeps for itself what is asked of KVM.</summary>
    internal static bool IsServed(PersonalityKind kind, IReadOnlyList<IAccelerator> accelerators) => kind != PersonalityKind.Kvm || accelerators.All(static a => !a.AnswersForKvm);

    /// <summary>Makes one.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="settings">The machine.</param>
    /// <param name="stolen">Tells of stolen time.</param>
    /// <param name="accelerators">What the machine may run under.</param>
    /// <param name="console">The machine's second console; null if it has none.</param>
    /// <exception cref="MachineConfigurationException">An accelerator cannot show it.</exception>
    internal static IPersonality Create(PersonalityKind kind, PersonalitySettings settings, StolenTime stolen, IReadOnlyList<IAccelerator> accelerators, ICharacterOutput? console)
    {
        IPersonality personality = kind switch
        {
            PersonalityKind.HyperV => new HyperVPersonality(settings),
            PersonalityKind.Xen => new XenPersonality(settings, stolen, new HostReclaimer(), console),
            PersonalityKind.VMware => new VMwarePersonality(settings, new HostReclaimer()),
            _ => new KvmPersonality(settings, stolen, IsServed(kind, accelerators)),
        };
        if (kind != PersonalityKind.Kvm)
        {
            foreach (IAccelerator accelerator in accelerators)
            {
                if (accelerator.FindObstacle(personality) is { } obstacle)
                {
                    throw new MachineConfigurationException($"The accelerator '{accelerator.Name}' cannot show guests the hypervisor '{personality.Name}': {obstacle}.");
                }
            }
        }

        return personality;
    }
}

using Lamina.Cli.Running;
using Lamina.Kvm;

namespace Lamina.Guests.Machines;

/// <summary>The accelerators that a guest is tried under.</summary>
public static class AcceleratorData
{
    // Where KVM has no hardware behind it, a boot under it takes many minutes.
    private static IEnumerable<string> Names => KvmHost.IsWorthIt(out _) ? ["kvm", .. AcceleratorCatalog.Software] : AcceleratorCatalog.Software;

    /// <summary>Those that are of use on this host.</summary>
    public static TheoryData<string> All => [.. Names];

    /// <summary>The same, with one and two processors.</summary>
    public static TheoryData<string, int> WithProcessors
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (string name in Names)
            {
                data.Add(name, 1);
                data.Add(name, 2);
            }

            return data;
        }
    }
}

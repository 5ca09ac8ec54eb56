using Lamina.Cli.Running;

namespace Lamina.Guests.Machines;

/// <summary>The accelerators that a guest is tried under.</summary>
public static class AcceleratorData
{
    /// <summary>Those that exist.</summary>
    public static TheoryData<string> All => [.. AcceleratorCatalog.Available];

    /// <summary>Those that exist, with one and two processors.</summary>
    public static TheoryData<string, int> WithProcessors
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (string name in AcceleratorCatalog.Available)
            {
                data.Add(name, 1);
                data.Add(name, 2);
            }

            return data;
        }
    }
}

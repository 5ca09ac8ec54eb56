using Lamina.Cli.Images.Debian;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--generation</c>: the machine's shape.</summary>
internal static class GenerationArgument
{
    /// <summary>Reads it; null is the default.</summary>
    /// <param name="text">What was given.</param>
    /// <param name="personality">The hypervisor that the guest sees.</param>
    /// <exception cref="LaminaException">It is not known, or the hypervisor has no such machine.</exception>
    public static int Parse(string? text, PersonalityKind personality)
    {
        return text switch
        {
            null or "1" => 1,
            "2" when personality == PersonalityKind.HyperV => 2,
            "2" => throw new LaminaException("--generation 2 is a machine of Hyper-V's. Add --personality hyperv, or leave it out."),
            _ => throw new LaminaException($"--generation '{text}' is not accepted: 1 is a PC, and 2 a machine without PCI and legacy devices, for --personality hyperv."),
        };
    }

    /// <summary>Checks that a machine of the second generation was not asked for what it has no place for.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="saysTransport">Whether something was said of the transport of virtio devices.</param>
    /// <exception cref="LaminaException">It was.</exception>
    public static void Check(RunOptions options, bool saysTransport)
    {
        if (options.Generation != 2)
        {
            return;
        }

        string? option = saysTransport ? "--virtio"
            : options.Shares.Count > 0 ? "--share"
            : options.UsesVirtioConsole ? "--console virtio"
            : options.HasTestDevices ? "--test-devices"
            : null;
        if (option != null)
        {
            throw new LaminaException($"{option} needs a PC, and --generation 2 is a machine without PCI and legacy devices. Leave one of them out.");
        }

        if (options is { Screen: not null, Image: { } image, Kernel: null } && image != DebianImage.Generic.Name)
        {
            throw new LaminaException(
                $"the kernel of the image '{image}' has the older driver of the screen alone (hyperv_fb), which looks for it on a PCI bus. Run {DebianImage.Generic.Name}, whose has the newer (hyperv_drm), or leave --screen or --generation 2 out.");
        }
    }
}

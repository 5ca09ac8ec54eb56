using System.Globalization;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--screen</c>: width and height in pixels.</summary>
internal static class ScreenArgument
{
    /// <summary>Reads it.</summary>
    /// <param name="text">The value.</param>
    /// <param name="personality">The hypervisor that the guest sees.</param>
    /// <exception cref="LaminaException">It is not acceptable.</exception>
    public static ScreenSettings Parse(string text, PersonalityKind personality)
    {
        if (personality is not (PersonalityKind.HyperV or PersonalityKind.Xen))
        {
            throw new LaminaException("--screen needs --personality hyperv or xen: other machines have no screen.");
        }

        string[] parts = text.Split('x');
        return parts.Length == 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int width)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int height)
            && new ScreenSettings { Width = width, Height = height } is { IsValid: true } screen
            ? screen
            : throw new LaminaException($"--screen '{text}' is not accepted. Write WIDTHxHEIGHT, such as 1024x768: from {ScreenSettings.MinimumWidth}x{ScreenSettings.MinimumHeight} to {ScreenSettings.MaximumPixels} pixels in all, the width a multiple of 8.");
    }
}

using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Systems;

namespace Lamina.Cli.Images;

/// <summary>The images by name.</summary>
internal static class ImageCatalog
{
    /// <summary>The image in memory that is called "debian" where no system image is.</summary>
    public const string Small = "debian-small";

    private static readonly DebianImage[] Images = [DebianImage.Cloud, DebianImage.Generic];

    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = Array.ConvertAll(Images, i => i.Name);

    /// <summary>Finds an image that is in memory alone.</summary>
    /// <exception cref="LaminaException">There is none of that name.</exception>
    public static DebianImage Get(string name)
    {
        Check(name);
        return name == Small ? DebianImage.Cloud : Array.Find(Images, i => i.Name == name)
            ?? throw new LaminaException($"the image '{name}' has not been built yet. Build it with: lamina image build {name}");
    }

    /// <summary>Checks that there is an image of that name.</summary>
    /// <exception cref="LaminaException">There is none.</exception>
    public static void Check(string name)
    {
        if (!Names.Contains(name) && name != Small && !SystemImageName.TryParse(name, out _))
        {
            string hint = File.Exists(name) ? $" To boot a kernel file, write --kernel {name}." : Suggestion.For(name, Names);
            throw new LaminaException($"there is no image '{name}'. Images: {string.Join(", ", Names)}.{hint}");
        }
    }
}

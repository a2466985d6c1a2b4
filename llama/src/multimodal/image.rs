use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use image::{ImageDecoder, ImageReader, Limits};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// What an image may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Most pixels on a side.
    pub max_side: u32,
    /// Most pixels in all.
    pub max_pixels: u64,
    /// Most bytes that the decoder may allocate.
    pub max_bytes: u64,
}

impl Default for ImageLimits {
    /// Room for a screenshot of an 8K display, and not for a decompression bomb.
    fn default() -> Self {
        Self { max_side: 16_384, max_pixels: 40_000_000, max_bytes: 512 << 20 }
    }
}

/// A decoded picture: rows of 8-bit RGB pixels. Clones share the pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    rgb: Arc<[u8]>,
    id: Arc<str>,
}

impl Image {
    /// Decodes a PNG, JPEG, GIF (its first frame), WebP or BMP, within default limits, and turns
    /// it upright if its camera said how.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] for bytes that are no such image or exceed the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_within(bytes, ImageLimits::default())
    }

    /// Decodes with limits of the caller's own.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode).
    pub fn decode_within(bytes: &[u8], limits: ImageLimits) -> Result<Self> {
        let refuse = |e: image::ImageError| Error::Image(e.to_string());
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| Error::Image(e.to_string()))?;
        if reader.format().is_none() {
            return Err(Error::Image("not a PNG, JPEG, GIF, WebP or BMP".into()));
        }
        let mut decoder_limits = Limits::default();
        decoder_limits.max_image_width = Some(limits.max_side);
        decoder_limits.max_image_height = Some(limits.max_side);
        decoder_limits.max_alloc = Some(limits.max_bytes);
        reader.limits(decoder_limits);
        let mut decoder = reader.into_decoder().map_err(refuse)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > limits.max_pixels {
            return Err(Error::Image(format!(
                "{width} x {height} pixels are more than the {} allowed",
                limits.max_pixels
            )));
        }
        let orientation = decoder.orientation().map_err(refuse)?;
        let mut decoded = image::DynamicImage::from_decoder(decoder).map_err(refuse)?;
        decoded.apply_orientation(orientation);
        let rgb = decoded.into_rgb8();
        Self::from_rgb(rgb.width(), rgb.height(), rgb.into_raw())
    }

    /// An image of pixels at hand: three bytes each, row by row from the top left.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] when the length is not `width * height * 3`, or a side is 0.
    pub fn from_rgb(width: u32, height: u32, rgb: impl Into<Arc<[u8]>>) -> Result<Self> {
        let rgb = rgb.into();
        let expected = u128::from(width) * u128::from(height) * 3;
        if expected == 0 || rgb.len() as u128 != expected {
            return Err(Error::Image(format!(
                "{width} x {height} RGB pixels are {expected} bytes, not {}",
                rgb.len()
            )));
        }
        let mut hash = Sha256::new();
        hash.update(width.to_le_bytes());
        hash.update(&rgb);
        let id = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self { width, height, rgb, id: id.into() })
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, three bytes each.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Names the content: equal for equal pixels (their SHA-256).
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} x {}, {})", self.width, self.height, &self.id[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        image::RgbaImage::from_pixel(width, height, image::Rgba([1, 2, 3, 255]))
            .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
            .unwrap();
        bytes
    }

    #[test]
    fn equal_pixels_have_equal_names() {
        let a = Image::decode(&png(4, 2)).unwrap();
        let b = Image::from_rgb(4, 2, [1, 2, 3].repeat(8)).unwrap();
        assert_eq!(a, b);
        assert_ne!(a.id(), Image::from_rgb(2, 4, [1, 2, 3].repeat(8)).unwrap().id());
    }

    #[test]
    fn what_is_no_image_or_too_large_is_refused() {
        let text = Image::decode(b"hello").unwrap_err().to_string();
        assert_eq!(text, "cannot use the image: not a PNG, JPEG, GIF, WebP or BMP");
        let cut = png(64, 64);
        assert!(Image::decode(&cut[..cut.len() / 2]).is_err());
        let limits = ImageLimits { max_pixels: 15, ..ImageLimits::default() };
        assert!(Image::decode_within(&png(4, 4), limits).is_err());
        let limits = ImageLimits { max_side: 3, ..ImageLimits::default() };
        assert!(Image::decode_within(&png(4, 4), limits).is_err());
        assert!(Image::from_rgb(4, 4, vec![0; 47]).is_err());
        assert!(Image::from_rgb(0, 4, vec![]).is_err());
        assert!(Image::from_rgb(u32::MAX, u32::MAX, vec![]).is_err());
    }
}

"""OCR of the pages of a PDF whose text layer is missing or garbled; the extra `ocr`.

models     which models read a recipe's languages, and where they are
tesseract  Tesseract through tesserocr, and its detection of script and orientation
paddle     PP-OCRv6 through rapidocr, which carries its models
reader     a page: its picture, the choice of a model, the lines
"""
